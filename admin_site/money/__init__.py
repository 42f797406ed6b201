"""The money desk: payments, refunds, payouts, disputes, documents, the books and the providers."""
