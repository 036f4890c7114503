"""Words of imports: their states, what is wrong with a cell, and what the template says of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saas.handlers.messages import FIELD, STATES, field_message
from saas.i18n import N_, Reader
from saas.tenants.import_columns import TITLES

_RUN = ("reading", "columns", "checking", "checked", "importing", "done", "undoing", "undone", "cancelled", "stopped")
_UNREADABLE = ("not_a_table", "old_spreadsheet", "bad_encoding", "too_many_rows", "unpacks_too_big", "empty_table")
_ROW = ("bad", "good", "done", "refused", "undone", "kept")
_DONE = {"done": N_("Imported")}
RUN_STATES: Mapping[str, str] = {name: STATES[name][0] for name in _RUN} | _DONE
ROW_STATES: Mapping[str, str] = {name: STATES[name][0] for name in _ROW} | _DONE
# What speaks against a cell, else the words of a form's field.
PROBLEMS: Mapping[str, str] = {
    "scientific": N_(
        "Excel has turned this into a number and lost digits of it. Format the column as text and fill it in."
    ),
    "excel_error": N_("This is an error of Excel and no value."),
    "bad_name": N_("Names consist of letters without accents, digits and . _ @ + -, at least two."),
    "bad_mobile": N_("A mobile number consists of digits, at most 20."),
    "bad_date": N_("This is not a date. Please write it as 2026-12-31."),
    "ambiguous_date": N_("Is this day and month, or month and day? Please write it as 2026-12-31."),
    "expiry_missing": N_("This plan ends: please say when, or write “never”."),
    "pending_expires": N_("What is not active yet has no date of expiry: its time begins later."),
    "unknown_status": N_("This status is not known. There are normal, suspended, pending and closed."),
    "unknown_plan": N_("There is no plan of this name."),
    "plan_not_sold": N_("This plan is not on sale, or not by you."),
    "no_agents": N_("There are no agents here yet. Please leave this empty."),
    "taken": N_("There is an account of this name already."),
    "taken_in_file": N_("This account stands in line {line} already."),
    "other_member": N_("The member {login} exists, and its name is {name}."),
    "other_in_file": N_("In line {line} the member {login} has another name."),
    "member_has_balance": N_("The member {login} exists already. Take the money on its page, and leave this empty."),
    "balance_in_file": N_("In line {line} the member {login} has another balance. It has one, for all its accounts."),
    "used_since": N_("It has been online since, so it stays."),
    "booked_since": N_("Money was booked for it since, so it stays."),
    "changed_since": N_("Somebody changed it since, so it stays."),
}
REASONS: Mapping[str, str] = {
    "actor_gone": N_("Whoever asked for it may not log in any more, so it was stopped."),
    "denied": N_("Whoever asked for it does not have the permission any more, so it was stopped."),
    "tenant_stopped": N_("This system is stopped. Please ask the platform."),
    "tier_limit": N_("The limit of your tier is reached, so it was stopped."),
    "file_gone": N_("The file is not kept for longer than a week. Please upload it again."),
} | {code: FIELD[code] for code in _UNREADABLE}
# What each column of the template takes.
HELP: Mapping[str, str] = {
    "login": N_(
        "Who the account belongs to. Rows with the same name belong to one member, also to one who is there already. "
        "Empty: the name of the account."
    ),
    "name": N_("At most 64 characters. For a new member; it counts where the member's name stands first."),
    "mobile": N_("Digits, spaces, + and -, at most 20."),
    "username": N_(
        "Needed. What the subscriber dials in with: letters, digits and . _ @ + -, 2 to 64. Capitals are made small."
    ),
    "password": N_("For dialling in, 1 to 128 characters. Empty: one is made, and can be downloaded once afterwards."),
    "plan": N_("Needed. The name of a plan that is on sale here."),
    "expires": N_(
        "2026-12-31 or 2026-12-31 18:00. A day without a time is good to its end. Without end: never. Needed for plans "
        "that end, empty for accounts that are not active yet."
    ),
    "balance": N_(
        "What the member has at the start, with at most two decimals; negative for arrears. Only for new members, and "
        "once for each."
    ),
    "status": N_("Normal, suspended, pending or closed. Empty: normal."),
    "mac": N_("Twelve hexadecimal digits in any usual spelling. It holds if the plan binds to it."),
    "static_ip": N_("An IPv4 address. Empty: from the device's pool."),
    "agent": N_("Leave it empty: there are no agents here yet."),
    "note": N_("At most 500 characters. For a new member; it counts where the member's name stands first."),
}


def problem_text(reader: Reader, problem: Mapping[str, Any]) -> str:
    """What is wrong with a cell: its column, what it says, and why that cannot be taken."""
    code, data = problem["code"], problem["data"]
    text = reader(PROBLEMS[code], **data) if code in PROBLEMS else field_message(reader, code, data)
    column, value = reader(TITLES[problem["column"]]), problem["value"]
    if not value:
        return reader(N_("{column}: {problem}"), column=column, problem=text)
    return reader(N_("{column} “{value}”: {problem}"), column=column, value=value, problem=text)
