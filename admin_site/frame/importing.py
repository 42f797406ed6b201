"""Tables brought in: uploaded, rehearsed row by row, then carried out all or nothing with a reason.

A page for each kind of row; what it takes stands in ``imports``. The file stays with whoever uploaded it: between the
rehearsal and the import the page itself carries it, sealed, so that what is carried out is what was shown. Nothing is
kept meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget

from admin_site.frame import fields
from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import label
from admin_site.frame.exporting import csv_response
from backend.audit import importing
from backend.audit.importing import Outcome
from backend.core import sheets
from backend.core.errors import DomainError, FieldError, Invalid

ADDED, CHANGED, UNCHANGED = "added", "changed", "unchanged"
_SAID = {
    ADDED: (_("added"), "success"),
    CHANGED: (_("changed"), "info"),
    UNCHANGED: (_("unchanged"), "default"),
}

KEPT_FOR_S = 3600
"""How long what was rehearsed can be carried out."""

_SALT = "rows import"

YES = {
    "true",
    "yes",
    "1",
    "wahr",
    "ja",
    "vrai",
    "oui",
    "verdadero",
    "sí",
    "si",
    "kweli",
    "ndiyo",
    "صحيح",
    "نعم",
}
NO = {"false", "no", "0", "falsch", "nein", "faux", "non", "falso", "uongo", "hapana", "خطأ", "لا"}
"""What spreadsheets and people write for yes and no."""

DAY_FORMATS = ["%Y-%m-%d"]
MOMENT_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
"""Years first only: whether 03/04 is in March or in April nobody can tell."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a row, and the words in which the page shows it."""

    became: str
    shown: str


BringIn = Callable[..., Row]
"""``bring_in(actor=, values=, reason=, now=)``: one row by its operations. ``values`` has the table's columns only."""


@dataclass(frozen=True)
class Import:
    """A kind of table: its columns as the fields that staff fill in by hand, and what one row does."""

    key: str
    title: Any
    model: Any
    rule: str
    fields: Callable[[], dict[str, forms.Field]]
    needed: Sequence[str]
    bring_in: BringIn
    skipped: Sequence[str] = ()
    """Columns that the export writes for people to read."""
    says: Any = ""

    @property
    def list_url(self) -> str:
        meta = self.model._meta
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")

    def columns(self) -> list[tuple[str, bool, str]]:
        """Name, whether it must be there, and what may stand in it."""
        return [(name, name in self.needed, _described(field)) for name, field in self.fields().items()]


class FileForm(forms.Form):
    """Which table."""

    file = forms.FileField(
        label=_("Table"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,text/csv"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bounds = {"rows": sheets.MOST_ROWS, "size": sheets.MOST_BYTES // 1024}
        self.fields["file"].help_text = (
            _now("A CSV file in UTF-8, at most %(rows)s rows and %(size)s KB.") % bounds
        )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > sheets.MOST_BYTES:
            most = sheets.MOST_BYTES // 1024
            raise forms.ValidationError(_("The file is larger than %(most)s KB.") % {"most": most})
        return file


class TakeForm(forms.Form):
    """Why it is brought in."""

    reason = fields.text(_("Reason"), 500)


class YesNo(forms.Field):
    """Yes or no in a table; empty is what the dialog begins with."""

    def clean(self, value: Any) -> bool:
        word = str(value or "").strip().lower()
        if word in YES:
            return True
        if word in NO:
            return False
        if word:
            raise forms.ValidationError(_("Write true or false."))
        return bool(self.initial)


def import_action(what: str, *, permission: str) -> Any:
    """The action over a list that leads to the import ``what``. Its name in the page must be ``import_rows``."""

    @action(description=_("Import"), url_path="import", permissions=[permission], icon="upload")
    def import_rows(page: Any, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:page_import_{what}"))

    return import_rows


def register_import(what: Import) -> CustomPage:
    """Put the page of an import on the site, at ``/admin/import/<key>/``."""

    def view(request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST":
            answer = _carry_out if "sealed" in request.POST else _rehearse
            return answer(page, what, request)
        if "template" in request.GET:
            return csv_response(f"{what.key.replace('_', '-')}.csv", list(what.fields()), [])
        return _shown(page, what, request, FileForm())

    page = register_page(
        CustomPage(
            f"import_{what.key}",
            what.title,
            "upload",
            view,
            rule=what.rule,
            route=f"import/{what.key.replace('_', '-')}/",
            methods=("GET", "POST"),
        )
    )
    return page


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that was rehearsed, or refused; ``sealed`` is what carries it to the import."""

    name: str
    sheet: sheets.Sheet
    outcomes: Sequence[Outcome]
    sealed: str


def _rehearse(page: CustomPage, what: Import, request: HttpRequest) -> HttpResponse:
    form = FileForm(request.POST, request.FILES)
    if not form.is_valid():
        return _shown(page, what, request, form)
    content: bytes = form.cleaned_data["file"].read()
    try:
        sheet = _read(what, content)
    except sheets.BadTable as error:
        form.add_error("file", str(error.detail))
        return _shown(page, what, request, form)
    name = form.cleaned_data["file"].name[:100]
    text = content.decode("utf-8-sig")
    kept = {"import": what.key, "user": request.user.pk, "name": name, "content": text}
    table = _rehearsed(what, request, name, sheet, signing.dumps(kept, salt=_SALT, compress=True))
    return _shown(page, what, request, FileForm(), table=table)


def _rehearsed(what: Import, request: HttpRequest, name: str, sheet: sheets.Sheet, sealed: str) -> _Table:
    acts = _acts(what, sheet, request, _now("Rehearsal"), timezone.now())
    return _Table(name, sheet, importing.rehearse(acts), sealed)


def _carry_out(page: CustomPage, what: Import, request: HttpRequest) -> HttpResponse:
    """All rows of what was rehearsed, or none."""
    sealed = request.POST["sealed"]
    try:
        kept = signing.loads(sealed, salt=_SALT, max_age=KEPT_FOR_S)
        if (kept["import"], kept["user"]) != (what.key, request.user.pk):
            raise signing.BadSignature
        content = kept["content"].encode()
        sheet = _read(what, content)
    except (signing.BadSignature, sheets.BadTable):
        form = FileForm()
        form.errors["file"] = form.error_class([_now("Too much time has passed. Upload the table again.")])
        return _shown(page, what, request, form)
    take = TakeForm(request.POST)
    if not take.is_valid():
        table = _rehearsed(what, request, kept["name"], sheet, sealed)
        return _shown(page, what, request, FileForm(), table=table, take=take)
    now, reason = timezone.now(), take.cleaned_data["reason"]
    outcomes = importing.carry_out(
        _acts(what, sheet, request, reason, now),
        actor=request.user,
        kind=what.model._meta.label_lower,
        digest=hashlib.sha256(content).hexdigest(),
        reason=reason,
        now=now,
    )
    if any(each.error is not None for each in outcomes):
        table = _Table(kept["name"], sheet, outcomes, sealed)
        return _shown(page, what, request, FileForm(), table=table, is_late=True)
    messages.success(request, _now("The table is imported. %(what)s.") % {"what": _said(outcomes)})
    return HttpResponseRedirect(what.list_url)


def _read(what: Import, content: bytes) -> sheets.Sheet:
    columns = list(what.fields())
    return sheets.read(content, columns=columns, needed=what.needed, skipped=what.skipped)


def _acts(
    what: Import, sheet: sheets.Sheet, request: HttpRequest, reason: str, now: datetime
) -> list[Callable[[], Row]]:
    def act(line: sheets.Line) -> Callable[[], Row]:
        def run() -> Row:
            values = _values(what, line.cells, sheet.decimal_comma)
            return what.bring_in(actor=request.user, values=values, reason=reason, now=now)

        return run

    return [act(line) for line in sheet.lines]


def _values(what: Import, cells: Mapping[str, str], decimal_comma: bool) -> dict[str, Any]:
    """The cells of a row as its fields read them. Raises: Invalid with an error for each cell that is wrong."""
    given: dict[str, Any] = {}
    wrong: list[FieldError] = []
    for name, field in what.fields().items():
        if name not in cells:
            continue
        text = cells[name]
        if isinstance(field, forms.DecimalField) and decimal_comma and "." not in text:
            text = text.replace(",", ".")
        try:
            given[name] = _for_tables(field).clean(text)
        except forms.ValidationError as error:
            wrong += [FieldError(name, "invalid", message) for message in error.messages]
    if wrong:
        raise Invalid(errors=wrong)
    return given


def _for_tables(field: forms.Field) -> forms.Field:
    """A field of a dialog as it reads a cell."""
    if isinstance(field, forms.DateTimeField):
        field.input_formats = MOMENT_FORMATS
    elif isinstance(field, forms.DateField):
        field.input_formats = DAY_FORMATS
    elif isinstance(field, forms.BooleanField):
        return YesNo(required=False, initial=field.initial)
    return field


def _described(field: forms.Field) -> str:
    """What may stand in a column, in words."""
    parts = [str(field.label)]
    if isinstance(field, forms.ChoiceField):
        choices: Any = field.choices
        parts.append(", ".join(str(value) for value, _words in choices))
    elif isinstance(field, forms.DateTimeField):
        parts.append("2027-03-01T09:30Z")
    elif isinstance(field, forms.DateField):
        parts.append("2027-03-01")
    elif isinstance(field, forms.BooleanField):
        parts.append("true, false")
    if field.help_text:
        parts.append(str(field.help_text))
    return " · ".join(parts)


def _shown(
    page: CustomPage,
    what: Import,
    request: HttpRequest,
    form: FileForm,
    *,
    table: _Table | None = None,
    take: TakeForm | None = None,
    is_late: bool = False,
) -> HttpResponse:
    """The page: what may be brought in, and what became of the rows."""
    context: dict[str, Any] = {
        "import": what,
        "form": form,
        "columns": what.columns(),
        "list_url": what.list_url,
        "table": table,
        "is_late": is_late,
    }
    if table is not None:
        pairs = list(zip(table.sheet.lines, table.outcomes, strict=True))
        refused = [(line, each.error) for line, each in pairs if each.error is not None]
        context |= {
            "refused": [(line.number, _cells(line), _reasons(error)) for line, error in refused],
            "fine": [
                (line.number, each.result.shown, label(*_SAID[each.result.became]))
                for line, each in pairs
                if each.error is None
            ],
            "counts": _said(table.outcomes),
            "does_something": not refused and any(each.result.became != UNCHANGED for _line, each in pairs),
            "take": take or TakeForm(),
        }
    return page.render(request, "admin_site/import.html", context)


def _cells(line: sheets.Line) -> str:
    """A row as it stands in the file."""
    return " · ".join(cell for cell in line.cells.values() if cell)


def _said(outcomes: Sequence[Outcome]) -> str:
    """How many rows became what."""
    became = [each.result.became for each in outcomes if each.error is None]
    return ", ".join(
        f"{words}: {became.count(key)}" for key, (words, _colour) in _SAID.items() if key in became
    )


def _reasons(error: DomainError) -> list[str]:
    """Why a row is refused: beside the columns that it is about."""
    return [f"{each.field}: {each.message}" for each in error.errors] or [str(error.detail)]
