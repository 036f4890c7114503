"""Cells as people and other systems write them, and columns as these call them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from saas.i18n import LANGUAGES, Reader
from saas.tenants.import_cells import Reading, Values, Wrong, moment
from saas.tenants.import_columns import TITLES, complete, guess, source_of

ZONE = "Asia/Shanghai"
ALL = Reading({name: at for at, name in enumerate(TITLES)}, "", ZONE)


def read(source: str = "", **cells: str) -> Values:
    given = {"username": "zhang", "plan": "Monthly", **cells}
    return Reading(ALL.columns, source, ZONE).row([given.get(name, "") for name in TITLES])


def wrong(**cells: str) -> list[tuple[str, str]]:
    return [(problem.column, problem.code) for problem in read(**cells).problems]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2031-05-06",
            "2031/5/6",
            "2031.5.6",
            "2031年5月6日",
            "20310506",
            "2031-05-06 00:00:00",
            "2031-05-06T00:00:00",
        ),
        *("47974", "06 May 2031", "May 6, 2031", "6 May 2031"),
    ],
)
def test_a_day_is_good_to_its_end(text: str) -> None:
    assert moment(text, ZONE) == (datetime(2031, 5, 6, 15, 59, 59, tzinfo=UTC), False)
    assert moment(text, "America/Sao_Paulo")[0] == datetime(2031, 5, 7, 2, 59, 59, tzinfo=UTC)


def test_a_time_is_the_tenants() -> None:
    assert moment("2031-05-06 18:30", ZONE)[0] == datetime(2031, 5, 6, 10, 30, tzinfo=UTC)
    assert moment("2031/5/6 23:59:59", ZONE)[0] == datetime(2031, 5, 6, 15, 59, 59, tzinfo=UTC)
    assert moment("25/12/2031", ZONE) == moment("12/25/2031", ZONE) == moment("2031-12-25", ZONE)
    assert moment("05/05/2031", ZONE) == moment("2031-05-05", ZONE)


@pytest.mark.parametrize("text", ["长期有效", "永久", "never", "Never", "3000-12-30", "9999-12-31 23:59:59"])
def test_never_is_never(text: str) -> None:
    assert moment(text, ZONE) == (None, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("05/06/2031", "ambiguous_date"),
        ("2031-02-30", "bad_date"),
        ("soon", "bad_date"),
        ("2031-05-06 25:00", "bad_date"),
    ],
)
def test_what_is_not_certain_is_no_date(text: str, code: str) -> None:
    with pytest.raises(Wrong) as error:
        moment(text, ZONE)
    assert error.value.code == code


def test_a_row_is_read_kindly() -> None:
    found = read(
        username=" ＺＨＡＮＧ０１ ",
        name="'=张三",
        mobile="１３８-0000-0000\u200b",
        balance="¥1,234.50",
        mac="aabb.ccdd.eeff",
        static_ip="10.0.0.9 ",
        status="停机",
        password=" ａb ",
    )
    assert found.problems == []
    assert (found.username, found.login, found.name, found.mobile) == ("zhang01", "zhang01", "=张三", "138-0000-0000")
    assert (found.balance, found.mac, found.static_ip, found.status) == (
        123450,
        "AA-BB-CC-DD-EE-FF",
        "10.0.0.9",
        "suspended",
    )
    assert found.password == "ａb"  # nobody but the subscriber knows which letters are meant
    assert read(username="CORP\\Zhang", login="Boss").login == "boss" and read(static_ip="0.0.0.0").static_ip == ""
    assert read(balance="-3").balance == -300 and read().status == "normal"


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"username": ""}, ("username", "missing")),
        ({"username": "张三"}, ("username", "bad_name")),
        ({"username": "1.38E+10"}, ("username", "scientific")),
        ({"username": "x" * 65}, ("username", "too_long")),
        ({"login": "张 三"}, ("login", "bad_name")),
        ({"plan": ""}, ("plan", "missing")),
        ({"mobile": "1.38E+10"}, ("mobile", "scientific")),
        ({"mobile": "#N/A"}, ("mobile", "excel_error")),
        ({"mobile": "####"}, ("mobile", "excel_error")),
        ({"mobile": "call me"}, ("mobile", "bad_mobile")),
        ({"balance": "1.005"}, ("balance", "too_many_decimals")),
        ({"balance": "ten"}, ("balance", "not_a_number")),
        ({"balance": "1.5E+3"}, ("balance", "scientific")),
        ({"mac": "AA-BB"}, ("mac", "bad_mac")),
        ({"static_ip": "10.0.0.300"}, ("static_ip", "bad_address")),
        ({"static_ip": "2001:db8::1"}, ("static_ip", "bad_address")),
        ({"status": "odd"}, ("status", "unknown_status")),
        ({"agent": "Li"}, ("agent", "no_agents")),
        ({"name": "<b>"}, ("name", "markup")),
        ({"note": "x" * 501}, ("note", "too_long")),
        ({"password": "x" * 129}, ("password", "too_long")),
    ],
)
def test_a_wrong_cell_is_told_by_its_column(cells: dict[str, str], told: tuple[str, str]) -> None:
    assert wrong(**cells) == [told]


def test_a_password_is_not_repeated_to_the_reader() -> None:
    (problem,) = read(password="1.38E+10").problems
    assert (problem.code, problem.value) == ("scientific", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_template_is_understood_in_every_language(language: str) -> None:
    say = Reader.of(language)
    assert guess([say(title) for title in TITLES.values()]) == ALL.columns


EXPORTS: list[tuple[str, str, dict[str, str]]] = [
    (
        "phpnuxbill",
        "id,username,fullname,address,phonenumber,email,balance,service_type",
        {"username": "username", "name": "fullname", "mobile": "phonenumber", "balance": "balance"},
    ),
    (
        "phpnuxbill",
        "id,username,fullname,phonenumber,email,balance,namebp,routers,status,Payment",
        {"username": "username", "plan": "namebp", "status": "status", "balance": "balance"},
    ),
    (
        "toughradius",
        "id,node_id,profile_id,realname,mobile,username,password,ip_addr,mac_addr,expire_time,status,remark",
        {"name": "realname", "static_ip": "ip_addr", "mac": "mac_addr", "expires": "expire_time", "note": "remark"},
    ),
    (
        "splynx",
        "ID,Status,Portal login,Full name,Phone number,Internet plan,Login,Password,IPv4,MAC(s),End date,Partner",
        {"login": "Portal login", "username": "Login", "plan": "Internet plan", "static_ip": "IPv4", "mac": "MAC(s)"},
    ),
    (
        "daloradius",
        "id,username,attribute,op,value,groupname,firstname,mobilephone,Expiration",
        {
            "username": "username",
            "password": "value",
            "plan": "groupname",
            "name": "firstname",
            "expires": "Expiration",
        },
    ),
]


@pytest.mark.parametrize(("source", "titles", "wanted"), EXPORTS)
def test_the_exports_of_others_are_known(source: str, titles: str, wanted: dict[str, str]) -> None:
    names = titles.split(",")
    found: dict[str, Any] = {field: names[at] for field, at in guess(names).items()}
    assert source_of(names) == source
    assert {field: found.get(field) for field in wanted} == wanted


def test_statuses_of_toughradius_are_figures() -> None:
    assert [read("toughradius", status=str(each)).status for each in range(5)] == [
        *("pending", "normal", "suspended", "closed", "normal"),
    ]


def test_a_file_without_the_needed_columns_is_not_complete() -> None:
    assert not complete(guess(["姓名", "手机"])) and complete(guess(["账号", "套餐"]))
    assert guess(["Account", "account", "what"]) == {"username": 0}
