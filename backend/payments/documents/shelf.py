"""What is on file of a stay: its documents, and the payments and refunds that they are about. Read once, in two queries."""

from __future__ import annotations

from dataclasses import dataclass

from backend.payments.documents.contents import Earlier
from backend.payments.models import Document, DocumentKind, Folio, Payment


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents of a folio and its movements of money, each by id in the order in which they were made."""

    documents: dict[int, Document]
    movements: dict[int, Payment]

    @classmethod
    def of(cls, folio: Folio) -> Shelf:
        """As it is now. The caller holds the folio, so that nothing comes to it."""
        documents = Document.objects.filter(folio=folio).order_by("id")
        movements = Payment.objects.filter(folio=folio).order_by("id")
        return cls({row.pk: row for row in documents}, {row.pk: row for row in movements})

    def about(self, payment_id: int | None, kind: DocumentKind) -> Document | None:
        """The document of a kind about a payment or refund; there is one at most."""
        mine = (row for row in self.documents.values() if (row.payment_id, row.kind) == (payment_id, kind))
        return next(mine, None)

    def credited(self, refund: Payment) -> Document | None:
        """The credit note of a refund, or of the one that it makes again."""
        one: Payment | None = refund
        while one is not None:
            found = self.about(one.pk, DocumentKind.CREDIT_NOTE)
            if found is not None:
                return found
            one = None if one.retry_of_id is None else self.movements[one.retry_of_id]
        return None

    def earlier(self) -> list[Earlier]:
        """What was invoiced and credited, and what is on its way back of it and will be credited, in order."""
        found = [
            Earlier(one.reference, one.kind, sign * one.total_minor, sign * one.data["tax_minor"])
            for one in self.documents.values()
            if (sign := self._sign(one))
        ]
        found += [
            Earlier(one.reference, "refund", -one.amount_minor)
            for one in self.movements.values()
            if self._is_coming(one) and self.credited(one) is None
        ]
        return found

    def paid_minor(self) -> int:
        """What was taken and not given back, in minor units."""
        taken = (row for row in self.movements.values() if row.kind == Payment.Kind.PAYMENT)
        return sum(row.amount_minor - row.refunded_minor for row in taken if row.completed_at)

    def _sign(self, document: Document) -> int:
        """1 for an invoice, -1 for what takes some of one back; 0 for what has nothing to do with the price."""
        if document.kind == DocumentKind.INVOICE:
            return 1
        if document.kind != DocumentKind.CREDIT_NOTE or document.corrects_id is None:
            return 0
        return -1 if self.documents[document.corrects_id].kind == DocumentKind.INVOICE else 0

    def _is_coming(self, movement: Payment) -> bool:
        """Whether it is a refund of something invoiced whose outcome is open."""
        is_open = (movement.kind, movement.status) == (Payment.Kind.REFUND, Payment.Status.PENDING)
        return is_open and self.about(movement.parent_id, DocumentKind.INVOICE) is not None
