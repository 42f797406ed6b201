"""The tables of money. Amounts are minor units of the ``currency`` beside them."""

from backend.payments.models.books import LedgerBalance, LedgerClosing, LedgerEntry, LedgerTransaction
from backend.payments.models.dispute import Dispute, DisputeAnswer
from backend.payments.models.document import Document, DocumentKind, DocumentSeries
from backend.payments.models.event import ProviderEvent
from backend.payments.models.folio import Folio, FolioLine
from backend.payments.models.movement import MoneyOp, Payment, PaymentQuerySet
from backend.payments.models.mpesa import MpesaRequest
from backend.payments.models.payout import Payout, PayoutAccount, PayoutHold, PayoutQuerySet, PayoutSplit
from backend.payments.models.reconciliation import ReconciliationDifference, ReconciliationRun
from backend.payments.models.refund import RefundRequest
from backend.payments.models.route import ProviderRoute
from backend.payments.models.sandbox import SandboxRecord

__all__ = [
    "Dispute",
    "DisputeAnswer",
    "Document",
    "DocumentKind",
    "DocumentSeries",
    "Folio",
    "FolioLine",
    "LedgerBalance",
    "LedgerClosing",
    "LedgerEntry",
    "LedgerTransaction",
    "MoneyOp",
    "MpesaRequest",
    "Payment",
    "PaymentQuerySet",
    "Payout",
    "PayoutAccount",
    "PayoutHold",
    "PayoutQuerySet",
    "PayoutSplit",
    "ProviderEvent",
    "ProviderRoute",
    "ReconciliationDifference",
    "ReconciliationRun",
    "RefundRequest",
    "SandboxRecord",
]
