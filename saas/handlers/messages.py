"""Codes into words: what the reader is told at a field, in a toast, on an error page, and which HTTP status it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tornado.web import HTTPError

from saas.errors import AppError, Conflict, Denied, Invalid, Limit, NotFound, Unavailable
from saas.i18n import N_, Reader

FIELD: Mapping[str, str] = {
    "missing": N_("Please fill this in."),
    "too_long": N_("Too long: at most {max_length} characters."),
    "too_big": N_("This file is too big."),
    "too_short": N_("Too short: at least {min_length} characters."),
    "kept_too_short": N_("At least 180 days, or 0 for ever."),
    "not_a_number": N_("Please enter a number."),
    "too_many_decimals": N_("At most two decimals."),
    "too_small": N_("Too small: at least {minimum}."),
    "too_large": N_("Too large: at most {maximum}."),
    "bad_choice": N_("Please choose one of the list."),
    "bad_email": N_("This is not an e-mail address."),
    "bad_address": N_("This is not an IP address."),
    "bad_address6": N_("This is neither an IPv6 address nor a prefix such as 2001:db8::/64."),
    "bad_prefix": N_("Please write a prefix with its length, such as 2001:db8:1::/56."),
    "bad_mac": N_("This is not a MAC address. It has twelve hexadecimal digits."),
    "bad_vlan": N_("Please write a VLAN, or two with a point between them, such as 100.2001."),
    "bad_webhook": N_("Please write an address that begins with https://, of port 443 or 8443, without a password."),
    "not_ahead": N_("Please enter a day to come, at most a year ahead."),
    "bad_date": N_("This is not a date."),
    "bad_format": N_("This contains characters that are not allowed here."),
    "bad_type": N_("This is not the kind of value expected here."),
    "control_characters": N_("Line breaks and control characters are not allowed here."),
    "markup": N_("The signs < and > are not allowed here."),
    "taken": N_("Already in use. Please choose another one."),
    "unknown": N_("This does not exist."),
    "unknown_field": N_("This field is not known."),
    "bad_password": N_("The password is not right."),
    "bad_code": N_("The code is not right."),
    "used_code": N_("This code has been used already. Wait for the next one."),
    "not_the_name": N_("This is not the name."),
    "not_the_same": N_("The two entries are not the same."),
    "reserved": N_("This name is reserved. Please choose another one."),
    "not_unique": N_("Named twice."),
    "same_pool": N_("It is in this pool already."),
    "pool_taken": N_("This pool belongs to another tenant, or still answers for one that has left."),
    "retired": N_("This is retired."),
    "above_price": N_("This is more than the price. Take the rest onto the member's balance."),
    "above_paid": N_("This is more than was paid for the term."),
    "not_a_table": N_(
        "No table can be read from this file. Save it as XLSX or CSV in your spreadsheet, and try again."
    ),
    "old_spreadsheet": N_(
        "This is an old or password-protected Excel file. Save it as .xlsx without a password, and try again."
    ),
    "bad_encoding": N_("The letters of this file cannot be told. Save it as XLSX, or as CSV in UTF-8."),
    "too_many_rows": N_("This file has more than 50,000 rows. Please split it."),
    "unpacks_too_big": N_(
        "This file is too big when it is unpacked. Remove pictures and further sheets, or save it as CSV."
    ),
    "empty_table": N_("This file has no rows below its headings."),
    "no_picture": N_("This is neither a PNG nor a JPEG picture, or one with too many pixels."),
    "nothing_asked": N_("Please fill in one of these."),
    "not_limited": N_("The plan does not limit this."),
    "same_plan": N_("The account has this plan already, in its present version."),
    "same_member": N_("The account belongs to this member already."),
    "has_entries": N_("There are entries in the ledger already, in the present currency."),
    "above_value": N_("This is more than the card is worth."),
    "in_the_past": N_("This day is over."),
    "bad_range": N_("The batch has no such range of numbers."),
    "incomplete_code": N_("A card's code has 16 letters and digits."),
    "mistyped_code": N_("There is a slip in this code. Please compare it with the card, sign by sign."),
    "card_needs_account": N_("This card renews an account. Please choose one."),
    "unknown_code": N_("There is no card with this code."),
    "beyond_own": N_("This goes beyond your own permissions: you cannot give or take what you do not have."),
}
UNKNOWN_FIELD_CODE = N_("This value cannot be taken.")

ERROR: Mapping[str, str] = {
    "not_found": N_("There is no such page or object here, or it is not yours to see."),
    "denied": N_("You do not have the permission for this. Whoever runs this system can grant it to your group."),
    "bad_credentials": N_("The account or the password is not right."),
    "tenant_stopped": N_("This system is stopped. Please ask the platform."),
    "login_lapsed": N_("This log-in has lapsed. Please start again."),
    "factor_first": N_("A second factor is required here. Set it up first."),
    "no_factor": N_("There is no second factor."),
    "factor_required": N_("A second factor is required here, so it cannot be switched off."),
    "signup_lapsed": N_("This sign-up has lapsed. Please start again."),
    "too_many_attempts": N_("Too many attempts. Please wait a moment and try again."),
    "too_many_mails": N_("We have sent as many mails as we may. Please look into your spam folder, or start again."),
    "invalid": N_("Some fields need your attention."),
    "conflict": N_("This is not possible in the present state."),
    "changed": N_("Someone else has changed this meanwhile. Load the page again to see the present values."),
    "has_open_sessions": N_("Subscribers are online on {name}. Force them off first, or wait until they have left."),
    "passwords_hidden": N_("Passwords are not shown in this system. The parameters can allow it."),
    "pool_in_use": N_("Tenants are in this pool, or it still answers for some that have left. Move them first."),
    "shared_pool": N_("The shared pool always stays."),
    "shared_ports": N_("The ports of the shared pool are those of the settings."),
    "retired": N_("This is retired."),
    "certificate_ended": N_("This certificate has expired or been revoked already."),
    "not_online": N_("{name} is not online any more."),
    "in_progress": N_("The device is being asked already. Please wait for its answer."),
    "not_live": N_("Devices of this type take no new speed during a session. Force the session off instead."),
    "too_many_addresses": N_("You have asked for many addresses. Please wait a while before you ask for another one."),
    "too_many_traces": N_("{limit} traces run already. Stop one of them first."),
    "no_plan": N_("It is not known whose session this is, so there is no plan to go back to."),
    "is_suspended": N_("{name} is suspended already. Resume it first."),
    "is_pending": N_("{name} is not active yet. Activate it first."),
    "not_pending": N_("{name} is active already."),
    "nothing_bought": N_("Nothing is paid for {name} yet. Renew it, and it is active."),
    "is_closed": N_("{name} is closed. That is for good."),
    "not_suspended": N_("{name} is not suspended."),
    "not_closed": N_("Only a closed account can be deleted. Close {name} first."),
    "same_plan": N_("The account has this plan already, in its present version."),
    "same_member": N_("The account belongs to this member already."),
    "nothing_to_buy": N_("{name} neither ends nor runs out, so there is nothing to renew."),
    "never_ends": N_("{name} does not end by a date, so there is nothing to renew by itself."),
    "renews_not": N_("{name} does not renew by itself, or its plan is not on sale any more."),
    "plan_not_granted": N_(
        "You may not sell the plan {name}, nor redeem cards for it. Whoever runs this system can grant it to you."
    ),
    "attribute_line": N_("An attribute is written as name = value, which “{line}” is not."),
    "attribute_unknown": N_("The engine knows no attribute {line}."),
    "attribute_engines": N_("{line} is for the engine to say, from the account and the other fields of the plan."),
    "attribute_value": N_("In “{line}” the value does not fit the attribute’s type, {type}."),
    "attributes_many": N_("At most {most} attributes, of {octets} octets in all, go with a log-in."),
    "plan_settling": N_("An earlier change of {name} is still under way. Wait until its accounts are seen to."),
    "nothing_planned": N_("No change of plan is planned for {name}."),
    "not_waiting": N_("The time of {name} runs already."),
    "price_changed": N_(
        "The sum has changed since you saw it: it was {shown} and is {now} now. Nothing has been done. Look at it "
        "again and confirm."
    ),
    "balance_short": N_("There is not so much on the balance."),
    "by_use": N_("Accounts are on this plan. Make another one for what is charged by use, and move them to it."),
    "balance_too_low": N_("The balance does not cover this. Take money first, or have it paid in another way."),
    "is_reversed": N_("This has been taken back already."),
    "is_reversal": N_("This takes back another entry. To undo it, book anew what was taken back."),
    "not_reversible": N_("Entries of this kind are not taken back by hand."),
    "bought_since": N_(
        "More was bought for this account since, or it was closed. Take back the payment alone, or the last sale first."
    ),
    "not_a_payment": N_("Receipts are for payments that came in."),
    "nothing_sold": N_("Nothing was sold here that an invoice could be for."),
    "key_reused": N_("This page has been used for something else already. Load it again."),
    "nothing_chosen": N_("There is no account to do this to."),
    "too_many_watchers": N_("{limit} pages here keep themselves up to date already. Close some, then load this anew."),
    "too_many_views": N_("There are {limit} views of this list already. Delete one first."),
    "too_many_runs": N_("{limit} bulk operations wait or run already. Wait until one of them is over."),
    "bulk_runs": N_("This operation still runs. Wait until it is over, or stop it."),
    "bulk_over": N_("This operation is over already."),
    "too_many_imports": N_("{limit} imports are under way already. Wait until one of them is over."),
    "import_begun": N_("Rows of this file were imported already. To read it in another way, upload it again."),
    "import_not_ready": N_("This import cannot be started now. Load the page again to see how far it is."),
    "import_runs": N_("This import is still under way. Wait until it is over, or stop it."),
    "import_over": N_("This import is over already."),
    "nothing_to_import": N_("No row of this file can be imported."),
    "undo_too_late": N_("There is nothing that could be taken back any more: that is possible for 24 hours."),
    "passwords_taken": N_("The passwords that this import made have been taken out already, or there are none."),
    "no_way_to_tell": N_("{name} has no mail address, and there is no webhook."),
    "notice_waits": N_("It waits to be sent anyway."),
    "no_webhook": N_("There is no webhook. Enter its address first."),
    "no_mail_address": N_("Only the cloud account has a mail address to send it to."),
    "unknown_names": N_("This text cannot name {names}. It can name {known}."),
    "card_inactive": N_("Card {serial} is not activated."),
    "card_active": N_("Card {serial} is activated already."),
    "card_used": N_("Card {serial} has been used already."),
    "card_void": N_("Card {serial} is void."),
    "card_expired": N_("Card {serial} has expired."),
    "cards_expired": N_("These cards have expired."),
    "no_card_to_activate": N_("None of these cards waits to be activated."),
    "no_card_to_deactivate": N_("None of these cards is activated and unused."),
    "no_card_to_void": N_("None of these cards can be voided: they are used or void already."),
    "codes_taken": N_("The codes of these cards have been taken out already, and are kept nowhere."),
    "card_other_plan": N_("This card is for the plan {name}. Allow the change of plan to redeem it for this account."),
    "too_many_codes": N_("Too many wrong codes. Please try again in {minutes} minutes."),
    "in_use": N_("This is in use and cannot be removed."),
    "limit": N_("Too many attempts. Please wait a moment and try again."),
    "too_many_papers": N_("At most {most} can be printed at once. Choose fewer days, or one kind."),
    "tier_limit": N_("The limit of your tier is reached."),
    "unavailable": N_("A part of the service does not answer right now. Please try again in a moment."),
    "xsrf": N_("This page has been open too long. Load it again, then repeat what you did."),
    "bad_request": N_("This request cannot be understood."),
    "unknown_parameter": N_("The address has a parameter that is not known here: {parameter}."),
    "too_big": N_("This is too big to be taken."),
    "method_not_allowed": N_("This cannot be done here."),
    "error": N_("Something went wrong on our side. It has been recorded."),
}
# A state's word and the colour it is shown in.
STATES: Mapping[str, tuple[str, str]] = {
    "active": (N_("Active"), "green"),
    "normal": (N_("Normal"), "green"),
    "online": (N_("Online"), "green"),
    "up": (N_("Running"), "green"),
    "running": (N_("Running"), "green"),
    "works": (N_("Works"), "green"),
    "secret": (N_("Wrong shared secret"), "red"),
    "unsigned": (N_("No Message-Authenticator"), "orange"),
    "dropped": (N_("Packets dropped"), "orange"),
    "nothing": (N_("No packet yet"), "gray"),
    "draining": (N_("Shutting down"), "orange"),
    "closing": (N_("Going offline"), "orange"),
    "done": (N_("Done"), "green"),
    "ok": (N_("Done"), "green"),
    "waiting": (N_("Waiting"), "blue"),
    "sent": (N_("Sent"), "green"),
    "ended": (N_("Ended"), "gray"),
    "pending": (N_("Not active yet"), "blue"),
    "suspended": (N_("Suspended"), "orange"),
    "expired": (N_("Expired"), "orange"),
    "expiring": (N_("Expires soon"), "orange"),
    "silent": (N_("Silent"), "orange"),
    "disabled": (N_("Disabled"), "gray"),
    "offline": (N_("Offline"), "gray"),
    "cancelled": (N_("Stopped"), "gray"),
    "closed": (N_("Closed"), "gray"),
    "retired": (N_("Not on sale"), "gray"),
    "columns": (N_("Waits for its columns"), "orange"),
    "reading": (N_("Being read"), "blue"),
    "checking": (N_("Being checked"), "blue"),
    "checked": (N_("Checked"), "blue"),
    "importing": (N_("Being imported"), "blue"),
    "undoing": (N_("Being undone"), "blue"),
    "undone": (N_("Undone"), "gray"),
    "good": (N_("Right"), "green"),
    "bad": (N_("Wrong"), "red"),
    "kept": (N_("Kept"), "orange"),
    "stopped": (N_("Stopped"), "red"),
    "port_taken": (N_("Port taken"), "red"),
    "failed": (N_("Failed"), "red"),
    "refused": (N_("Refused"), "red"),
    "revoked": (N_("Revoked"), "red"),
    "inactive": (N_("Not activated"), "blue"),
    "used": (N_("Used"), "gray"),
    "void": (N_("Void"), "red"),
    "down": (N_("Not running"), "red"),
}
TITLE: Mapping[int, str] = {
    400: N_("Bad request"),
    401: N_("Please log in"),
    403: N_("Not permitted"),
    404: N_("Not found"),
    405: N_("Not possible"),
    409: N_("Not possible now"),
    413: N_("Too big"),
    422: N_("Please check your input"),
    429: N_("Please wait a moment"),
    500: N_("Something went wrong"),
    503: N_("Not available right now"),
}
_STATUS: tuple[tuple[type[AppError], int], ...] = (
    (NotFound, 404),
    (Denied, 403),
    (Invalid, 422),
    (Conflict, 409),
    (Unavailable, 503),
)
_AMOUNTS = ("shown", "now")  # data of errors that is money
_HTTP_CODES = {403: "denied", 404: "not_found", 405: "method_not_allowed", 413: "too_big"}


def state(name: str) -> tuple[str, str]:
    """Message id and tone (green, blue, orange, red, gray) of a state."""
    return STATES.get(name, (name, "gray"))


class BadRequest(AppError):
    """A request that no page of ours sends."""

    code = "bad_request"


class FactorFirst(Denied):
    """A second factor is required, and the reader has not set one up yet."""

    code = "factor_first"


class SignInFirst(AppError):
    """Nobody is signed in, or not here."""

    code = "sign_in"


def status_of(error: BaseException | None, default: int = 500) -> int:
    """The HTTP status of an error."""
    if isinstance(error, HTTPError):
        return error.status_code
    if isinstance(error, Limit):
        return 429 if "retry_after" in error.data else 409
    if isinstance(error, BadRequest):
        return 400
    if isinstance(error, SignInFirst):
        return 401
    return next((status for kind, status in _STATUS if isinstance(error, kind)), default)


def code_of(error: BaseException | None, status: int) -> str:
    """The stable code of an error."""
    if isinstance(error, AppError):
        return error.code
    return _HTTP_CODES.get(status, "bad_request" if status < 500 else "error")


def sentence(reader: Reader, code: str, status: int, data: Mapping[str, Any]) -> str:
    """What happened, for a page or a toast. A code without words of its own falls back to its status."""
    fallback = {403: "denied", 404: "not_found", 409: "conflict", 429: "limit"}.get(status, "error")
    text = ERROR.get(code) or ERROR[fallback if status != 422 else "invalid"]
    data = {name: reader.money(value) if name in _AMOUNTS else value for name, value in data.items()}
    try:
        return reader(text, **data) if data else reader(text)
    except KeyError:
        return reader(ERROR[fallback])


def field_message(reader: Reader, code: str, limits: Mapping[str, Any]) -> str:
    """What is wrong with a field; `limits` are those of the field (max_length, minimum …)."""
    text = FIELD.get(code, UNKNOWN_FIELD_CODE)
    try:
        return reader(text, **limits) if "{" in text else reader(text)
    except KeyError:
        return reader(UNKNOWN_FIELD_CODE)
