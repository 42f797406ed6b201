"""What people are told of: one table of kinds with their texts, and by which channels they go unless somebody chose.

Texts are translated when they are read. Values in them come from the notice's ``params``:

=====================  =====================================================================
``listing guest host``  names as people know them; ``feed`` is an imported calendar's
``listing_in``          the place's titles in other languages, put there by itself (``places``)
``reference``           the booking's
``check_in check_out``  ISO dates
``guests``              a number
``total amount``        minor units of ``currency``
``reason message``      what a person wrote; with a ``reason_code`` behind that one's sentence
``points``              what a strike counts; ``count`` what all come to
``number``              a document's, or a report's
``until``               an ISO date
``device address``      of a sign-in
``provider account``    where a host is paid, as it may be shown; or who signs somebody in
``time``                of an arrival: from which hour of the place's clock on
``sender``              who wrote a message
``name``                what a key was called by whoever made it; ``description`` is a webhook's
``search listings``     what a saved search is called, and what it has found; ``count`` says how many
=====================  =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Text


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of notice. ``body_with_reason`` replaces ``body`` when a reason was given.

    ``in_app``, ``email`` and ``sms`` say by which channels it goes to those who have not chosen. A ``mandatory`` one
    is shown and mailed whatever its user prefers; an SMS may always be done without. ``short`` is what an SMS says,
    one message long in most languages; without it the title. ``wait`` names the platform setting (minutes) after which it is
    mailed or texted, if it is still unread then.
    """

    title: Text
    body: Text
    body_with_reason: Text = ""
    email: bool = False
    mandatory: bool = False
    sms: bool = False
    in_app: bool = True
    short: Text = ""
    wait: str = ""

    def goes_by(self, channel: str) -> bool:
        """Whether it goes by ``channel`` to those who have not chosen."""
        return bool(getattr(self, channel))

    def must_go_by(self, channel: str) -> bool:
        """Whether nobody can do without it on ``channel``."""
        return self.mandatory and channel != SMS and self.goes_by(channel)


IN_APP, EMAIL, SMS = CHANNELS = ("in_app", "email", "sms")

CATEGORIES = {
    "booking": "bookings",
    "inquiry": "bookings",
    "message": "messages",
    "review": "reviews",
    "payment": "money",
    "dispute": "money",
    "document": "money",
    "payout": "money",
    "payout_account": "money",
    "listing": "hosting",
    "calendar": "hosting",
    "cohost": "hosting",
    "host": "hosting",
    "search": "searches",
    "report": "account",
    "appeal": "account",
    "strike": "account",
    "account": "account",
    "identity": "account",
    "security": "account",
    "webhook": "account",
    "letter": "account",
}
"""What stands before the dot of a kind → the group under which people find it when they choose."""


def category(kind: str) -> str:
    """The group of a kind."""
    return CATEGORIES[kind.partition(".")[0]]


KINDS: dict[str, Kind] = {
    "booking.requested": Kind(
        _("%(guest)s would like to stay at %(listing)s"),
        _("%(check_in)s to %(check_out)s, guests: %(guests)s, total %(total)s. Accept or decline the request %(reference)s."),
        email=True,
        short=_("%(guest)s asks for %(listing)s, %(check_in)s to %(check_out)s. Accept or decline the request %(reference)s."),
    ),
    "booking.confirmed": Kind(
        _("Confirmed: %(listing)s, %(check_in)s to %(check_out)s"),
        _("The booking %(reference)s of %(guest)s at %(listing)s is confirmed. Guests: %(guests)s, total %(total)s."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("Confirmed: %(listing)s, %(check_in)s to %(check_out)s. Booking %(reference)s."),
    ),
    "booking.accepted": Kind(
        _("%(host)s accepted your request"),
        _("%(listing)s, %(check_in)s to %(check_out)s: pay %(total)s to confirm the booking %(reference)s."),
        email=True,
        mandatory=True,
        short=_("%(host)s accepted. Pay %(total)s to confirm the booking %(reference)s."),
    ),
    "booking.canceled": Kind(
        _("Canceled: %(listing)s, %(check_in)s to %(check_out)s"),
        _("The booking %(reference)s of %(guest)s at %(listing)s was canceled."),
        _("The booking %(reference)s of %(guest)s at %(listing)s was canceled: %(reason)s"),
        email=True,
        mandatory=True,
        sms=True,
        short=_("Canceled: %(listing)s, %(check_in)s to %(check_out)s. Booking %(reference)s."),
    ),
    "host.penalty": Kind(
        _("Canceling %(listing)s costs %(amount)s"),
        _("You canceled the confirmed booking %(reference)s. %(amount)s are taken from your coming payouts, and the nights stay closed."),
        email=True,
        mandatory=True,
    ),
    "host.penalty_waived": Kind(
        _("%(amount)s are not taken"),
        _("You do not have to pay for canceling the booking %(reference)s at %(listing)s."),
        email=True,
    ),
    "host.superhost_gained": Kind(
        _("You are a superhost"),
        _("Your guests can count on you: your places show it from now on, until the quarter ends. Your standing says how the next one looks."),
        email=True,
    ),
    "host.superhost_lost": Kind(
        _("You are no longer a superhost"),
        _("Not all that it takes was met in the last 365 days. Your standing says what is missing; the next quarter is judged anew."),
        email=True,
    ),
    "booking.declined": Kind(
        _("Declined: %(listing)s, %(check_in)s to %(check_out)s"),
        _("%(host)s could not take the request %(reference)s. Nothing is charged."),
        _("%(host)s could not take the request %(reference)s: %(reason)s. Nothing is charged."),
        email=True,
        mandatory=True,
    ),
    "booking.expired": Kind(
        _("Expired: %(listing)s, %(check_in)s to %(check_out)s"),
        _("The time for the booking %(reference)s ran out. The nights are free again."),
        email=True,
    ),
    "booking.change_requested": Kind(
        _("%(guest)s would like to change the stay at %(listing)s"),
        _("%(check_in)s to %(check_out)s, guests: %(guests)s, new total %(total)s. Accept or decline the change of the booking %(reference)s."),
        email=True,
    ),
    "booking.change_proposed": Kind(
        _("%(host)s proposes to change your stay at %(listing)s"),
        _("%(check_in)s to %(check_out)s, guests: %(guests)s, new total %(total)s. Accept or decline the change of the booking %(reference)s."),
        email=True,
    ),
    "booking.change_accepted": Kind(
        _("%(host)s accepted the change"),
        _("%(listing)s, %(check_in)s to %(check_out)s: pay %(amount)s, and the change of the booking %(reference)s counts."),
        email=True,
        mandatory=True,
    ),
    "booking.change_declined": Kind(
        _("Change declined: %(listing)s"),
        _("The booking %(reference)s stays as it was agreed."),
        _("The booking %(reference)s stays as it was agreed: %(reason)s"),
        email=True,
    ),
    "booking.change_withdrawn": Kind(
        _("Change withdrawn: %(listing)s"),
        _("The booking %(reference)s stays as it was agreed."),
    ),
    "booking.change_expired": Kind(
        _("Change expired: %(listing)s"),
        _("The time for changing the booking %(reference)s ran out. It stays as it was agreed."),
        email=True,
    ),
    "booking.changed": Kind(
        _("Changed: %(listing)s, %(check_in)s to %(check_out)s"),
        _("The booking %(reference)s of %(guest)s at %(listing)s was changed. Guests: %(guests)s, total %(total)s."),
        email=True,
        mandatory=True,
        short=_("Changed: %(listing)s, %(check_in)s to %(check_out)s. Booking %(reference)s."),
    ),
    "booking.completed": Kind(
        _("Completed: %(listing)s, %(check_in)s to %(check_out)s"),
        _("The stay %(reference)s of %(guest)s at %(listing)s is completed."),
    ),
    "booking.reminder": Kind(
        _("Your stay at %(listing)s begins soon: %(check_in)s"),
        _("%(listing)s, %(check_in)s to %(check_out)s, guests: %(guests)s. You can arrive from %(time)s on. The address, and how to reach %(host)s, stand in the booking %(reference)s."),
        email=True,
        short=_("%(listing)s: arrive on %(check_in)s from %(time)s on. Booking %(reference)s."),
    ),
    "booking.arriving": Kind(
        _("%(guest)s arrives on %(check_in)s"),
        _("%(guest)s stays at %(listing)s from %(check_in)s to %(check_out)s, guests: %(guests)s. The booking %(reference)s says when they come, if they have let you know."),
        email=True,
        short=_("%(guest)s arrives on %(check_in)s at %(listing)s, guests: %(guests)s. Booking %(reference)s."),
    ),
    "inquiry.received": Kind(
        _("%(guest)s asks about %(listing)s"),
        _("%(check_in)s to %(check_out)s, guests: %(guests)s. %(message)s"),
        email=True,
    ),
    "inquiry.pre_approved": Kind(
        _("%(host)s would be glad to have you at %(listing)s"),
        _("Book %(check_in)s to %(check_out)s now, without asking again. Nothing is held until then."),
        email=True,
    ),
    "inquiry.offered": Kind(
        _("%(host)s made you an offer for %(listing)s"),
        _("%(check_in)s to %(check_out)s, guests: %(guests)s, for %(total)s in all. Nothing is held until you book."),
        email=True,
    ),
    "inquiry.declined": Kind(
        _("%(host)s cannot take your stay at %(listing)s"),
        _("%(check_in)s to %(check_out)s is not possible."),
        _("%(check_in)s to %(check_out)s is not possible: %(reason)s"),
        email=True,
    ),
    "inquiry.withdrawn": Kind(
        _("%(guest)s no longer asks about %(listing)s"),
        _("%(check_in)s to %(check_out)s: there is nothing left to answer."),
    ),
    "inquiry.expired": Kind(
        _("Expired: your question about %(listing)s"),
        _("The time for %(check_in)s to %(check_out)s ran out."),
    ),
    "message.received": Kind(
        _("%(sender)s wrote to you about %(listing)s"),
        _("You have a message from %(sender)s that you have not read. Read and answer it in the conversation."),
        email=True,
        wait="message_mail_minutes",
    ),
    "review.invited": Kind(
        _("How was the stay at %(listing)s?"),
        _("Write your review of the stay %(reference)s, %(check_in)s to %(check_out)s. You can until %(until)s; nobody reads it before both of you have written, or the time is up."),
        email=True,
    ),
    "review.received": Kind(
        _("You have been reviewed for the stay at %(listing)s"),
        _("The other side has written about the stay %(reference)s, %(check_in)s to %(check_out)s. Write your review until %(until)s, and both of you can read at once."),
        email=True,
    ),
    "review.reminder": Kind(
        _("Your review of the stay at %(listing)s is still missing"),
        _("You can review the stay %(reference)s, %(check_in)s to %(check_out)s, until %(until)s. Then it is too late."),
        email=True,
    ),
    "review.published": Kind(
        _("You were reviewed: %(listing)s"),
        _("What was written about the stay %(reference)s, %(check_in)s to %(check_out)s, can be read now."),
        email=True,
    ),
    "review.response": Kind(
        _("%(host)s responded to your review"),
        _("Your review of %(listing)s has a response. Everybody can read both."),
        email=True,
    ),
    "review.hidden": Kind(
        _("Your review is hidden: %(listing)s"),
        _("Our team has hidden your review of the stay %(reference)s. You may appeal once."),
        _("Our team has hidden your review of the stay %(reference)s: %(reason)s. You may appeal once."),
        email=True,
        mandatory=True,
    ),
    "review.restored": Kind(
        _("Your review is shown again: %(listing)s"),
        _("Our team shows your review of the stay %(reference)s again."),
        email=True,
    ),
    "review.appeal_decided": Kind(
        _("We have decided about your review: %(listing)s"),
        _("We have looked at your review of the stay %(reference)s again. The review says what we decided."),
        _("We have looked at your review of the stay %(reference)s again: %(reason)s"),
        email=True,
        mandatory=True,
    ),
    "payment.completed": Kind(
        _("Payment received: %(amount)s"),
        _("%(amount)s for the booking %(reference)s at %(listing)s were paid."),
        email=True,
    ),
    "payment.failed": Kind(
        _("The payment of %(amount)s failed"),
        _("%(amount)s for the booking %(reference)s at %(listing)s could not be taken. Try again or use another way to pay."),
        email=True,
        mandatory=True,
        short=_("The payment of %(amount)s for the booking %(reference)s failed. Try again or pay in another way."),
    ),
    "payment.refunded": Kind(
        _("Refund: %(amount)s"),
        _("%(amount)s for the booking %(reference)s at %(listing)s go back to %(guest)s."),
        email=True,
        mandatory=True,
    ),
    "payment.refund_failed": Kind(
        _("The refund of %(amount)s did not reach you"),
        _("%(amount)s for the booking %(reference)s at %(listing)s could not be given back in the way that you paid. We are looking for another one; you do not have to do anything."),
        email=True,
        mandatory=True,
    ),
    "dispute.opened": Kind(
        _("A guest's bank questions the payment for %(listing)s"),
        _("The bank of %(guest)s asks for %(amount)s of the booking %(reference)s back. Payouts for this stay wait until it is decided. Keep what shows that the stay took place as agreed."),
        email=True,
        mandatory=True,
    ),
    "dispute.won": Kind(
        _("Decided for you: %(amount)s for %(listing)s"),
        _("The bank of %(guest)s has left %(amount)s of the booking %(reference)s with us. Payouts for this stay go on."),
        email=True,
        mandatory=True,
    ),
    "dispute.lost": Kind(
        _("Decided for the guest: %(amount)s for %(listing)s"),
        _("The bank of %(guest)s has taken %(amount)s of the booking %(reference)s back."),
        email=True,
        mandatory=True,
    ),
    "document.sent": Kind(
        _("Your document %(number)s"),
        _("The document %(number)s is attached to this mail."),
        email=True,
        mandatory=True,
    ),
    "payout.sent": Kind(
        _("Payout of %(amount)s"),
        _("The payout %(reference)s of %(amount)s is on its way to your account."),
        email=True,
    ),
    "payout.netted": Kind(
        _("%(amount)s were taken for what you owe"),
        _("Nothing is left to pay of the payout %(reference)s: %(amount)s were taken for what you owe for other stays."),
        email=True,
    ),
    "payout.on_hold": Kind(
        _("A payout of %(amount)s waits"),
        _("The payout %(reference)s of %(amount)s is on hold. Your payouts say why, and what you can do."),
        email=True,
    ),
    "payout.failed": Kind(
        _("The payout of %(amount)s failed"),
        _("The payout %(reference)s of %(amount)s could not be paid to your account. Please check the account."),
        email=True,
        mandatory=True,
        short=_("The payout of %(amount)s failed. Please check your account."),
    ),
    "payout.returned": Kind(
        _("The payout of %(amount)s came back"),
        _("Your bank has sent the payout %(reference)s of %(amount)s back. Please check your account; we will look at it, too."),
        email=True,
        mandatory=True,
    ),
    "payout_account.restricted": Kind(
        _("Your payout account needs attention"),
        _("%(provider)s asks for something before it pays to your account %(account)s again. Your payouts wait until then."),
        email=True,
        mandatory=True,
    ),
    "calendar.feed_stale": Kind(
        _("The calendar %(feed)s of %(listing)s is out of date"),
        _("We could not read the calendar %(feed)s for a while. Until we can, guests of %(listing)s must ask before they book."),
        email=True,
        mandatory=True,
    ),
    "calendar.conflict": Kind(
        _("%(listing)s is taken twice: %(check_in)s to %(check_out)s"),
        _("The calendar %(feed)s has an entry over a stay that was sold here. The stay keeps its nights until you decide."),
        email=True,
        mandatory=True,
    ),
    "listing.approved": Kind(
        _("Approved: %(listing)s"), _("Your listing %(listing)s is published."), email=True
    ),
    "report.decided": Kind(
        _("We have looked at your report"),
        _("Thank you for telling us. Your report %(number)s is decided; your reports say how. Whom it is about does not learn that it was yours."),
        email=True,
    ),
    "search.matched": Kind(
        _("New for %(search)s: %(count)s"),
        _("Published since you last looked: %(listings)s"),
        email=True,
    ),
    "cohost.added": Kind(
        _("%(host)s made you a co-host of %(listing)s"),
        _("You can keep %(listing)s together with %(host)s now."),
        email=True,
    ),
    "cohost.ended": Kind(
        _("No longer a co-host of %(listing)s"),
        _("The shared keeping of %(listing)s has ended."),
        email=True,
    ),
    "listing.corrected": Kind(
        _("Our team changed %(listing)s"),
        _("Our team changed %(listing)s for you."),
        _("Our team changed %(listing)s for you: %(reason)s"),
        email=True,
        mandatory=True,
    ),
    "listing.flagged": Kind(
        _("On hold: %(listing)s"),
        _("Your listing %(listing)s is hidden while we look at it."),
        _("Your listing %(listing)s is hidden while we look at it: %(reason)s"),
        email=True,
        mandatory=True,
    ),
    "listing.rejected": Kind(
        _("Rejected: %(listing)s"),
        _("Your listing %(listing)s was not accepted."),
        _("Your listing %(listing)s was not accepted: %(reason)s"),
        email=True,
        mandatory=True,
    ),
    "listing.changes_requested": Kind(
        _("Please change %(listing)s"),
        _("Before your listing %(listing)s can be published, something is to be changed. Change it and offer it again; we look at it then."),
        _("Before your listing %(listing)s can be published, something is to be changed: %(reason)s Change it and offer it again; we look at it then."),
        email=True,
        mandatory=True,
    ),
    "listing.suspended": Kind(
        _("Taken down: %(listing)s"),
        _("Your listing %(listing)s is taken down and is not found any more. Bookings that stand go on."),
        _("Your listing %(listing)s is taken down and is not found any more: %(reason)s Bookings that stand go on."),
        email=True,
        mandatory=True,
    ),
    "account.suspended": Kind(
        _("Your account is suspended"),
        _("You cannot sign in any more. This mail says how you can appeal."),
        _("You cannot sign in any more: %(reason)s This mail says how you can appeal."),
        email=True,
        mandatory=True,
    ),
    "account.restored": Kind(
        _("Your account is open again"),
        _("You can sign in again. Devices that were signed out stay signed out until you do."),
        email=True,
        mandatory=True,
    ),
    "message.hidden": Kind(
        _("A message of yours is hidden"),
        _("Our team has hidden a message that you wrote about %(listing)s."),
        _("Our team has hidden a message that you wrote about %(listing)s: %(reason)s"),
        email=True,
        mandatory=True,
    ),
    "appeal.decided": Kind(
        _("We have decided about your appeal"),
        _("We have looked at it again."),
        _("%(reason)s"),
        email=True,
        mandatory=True,
    ),
    "strike.added": Kind(
        _("A decision counts against your account"),
        _("It counts %(points)s until %(until)s; all that counts comes to %(count)s."),
        email=False,
    ),
    "strike.warning": Kind(
        _("Much was decided against your account"),
        _("A decision counts %(points)s until %(until)s; all that counts comes to %(count)s. If it becomes more, you can no longer offer places."),
        _("A decision counts %(points)s until %(until)s: %(reason)s All that counts comes to %(count)s. If it becomes more, you can no longer offer places."),
        email=True,
        mandatory=True,
    ),
    "host.blocked": Kind(
        _("You cannot offer places at the moment"),
        _("Too much was decided against your account: all that counts comes to %(count)s. Your listings are paused; bookings that stand go on. You can offer places again when enough of it has run out."),
        email=True,
        mandatory=True,
    ),
    "identity.verified": Kind(
        _("Your identity is verified"),
        _("Our team has looked at your document and deleted its picture. Your profile shows the mark now."),
        email=True,
        mandatory=True,
    ),
    "identity.refused": Kind(
        _("We could not verify your identity"),
        _("Our team could not take your document, and has deleted its picture. You can hand in another one."),
        _("Our team could not take your document, and has deleted its picture: %(reason)s. You can hand in another one."),
        email=True,
        mandatory=True,
    ),
    "security.new_device": Kind(
        _("New sign-in to your account"),
        _("Somebody signed in with %(device)s from %(address)s. If that was not you, sign this device out and change your password."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("New sign-in to your account. If that was not you, sign the device out and change your password."),
    ),
    "security.payout_account_changed": Kind(
        _("Your payouts go to another account now"),
        _("From now on you are paid to %(account)s (%(provider)s). If that was not you, change your password and tell us at once."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("Your payouts go to another account now: %(account)s. If that was not you, change your password and tell us at once."),
    ),
    "security.identity_linked": Kind(
        _("%(provider)s signs you in now"),
        _("The %(provider)s account %(account)s was linked to yours. If that was not you, unlink it and change your password."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("%(provider)s signs you in now. If that was not you, unlink it and change your password."),
    ),
    "security.identity_unlinked": Kind(
        _("%(provider)s no longer signs you in"),
        _("The %(provider)s account %(account)s was unlinked from yours. If that was not you, write to us at once."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("%(provider)s no longer signs you in. If that was not you, write to us at once."),
    ),
    "security.mfa_enabled": Kind(
        _("The second step is on"),
        _("Signing in to your account now takes a code of your app. If that was not you, write to us at once."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("The second step of your account is on. If that was not you, write to us at once."),
    ),
    "security.mfa_disabled": Kind(
        _("The second step is off"),
        _("Signing in to your account no longer takes a code. If that was not you, change your password at once."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("The second step of your account is off. If that was not you, change your password at once."),
    ),
    "security.api_key_made": Kind(
        _("A key to your account was made"),
        _("Programs that have the key “%(name)s” can act for you now. If that was not you, revoke it and change your password."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("A key to your account was made: %(name)s. If that was not you, revoke it and change your password."),
    ),
    "security.api_key_revoked": Kind(
        _("A key to your account was revoked"),
        _("Programs that have the key “%(name)s” can no longer act for you. If that was not you, change your password."),
        _("Our team revoked the key “%(name)s”: %(reason)s Programs that have it can no longer act for you. You can make another one."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("A key to your account was revoked: %(name)s. If that was not you, look at your notices."),
    ),
    "webhook.disabled": Kind(
        _("Your webhook was switched off"),
        _("Your webhook “%(description)s” did not take our messages, so we have stopped sending them. Switch it on again when it answers."),
        email=True,
        mandatory=True,
    ),
    "webhook.switched_off": Kind(
        _("Our team switched your webhook off"),
        _("Nothing more is sent to your webhook “%(description)s”. You can switch it on again."),
        _("Nothing more is sent to your webhook “%(description)s”: %(reason)s You can switch it on again when that is mended."),
        email=True,
        mandatory=True,
    ),
    "security.password_changed": Kind(
        _("Your password was changed"),
        _("All other devices were signed out. If that was not you, reset your password now."),
        email=True,
        mandatory=True,
        sms=True,
        short=_("Your password was changed. If that was not you, reset it now."),
    ),
}  # fmt: skip
"""Every kind that operations tell of. Clients know a kind by its dotted word; it never changes its meaning."""
