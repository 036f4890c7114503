"""VLANs in what devices write into NAS-Port-Id."""

from __future__ import annotations

import pytest

from saas.tenants.ports import normal_vlan, vlan_of


@pytest.mark.parametrize(
    ("sent", "vlan"),
    [
        (b"3/0/1:2814.727 0/0/0/0/0/0", "2814.727"),
        (b"3/0/1:2814.727", "2814.727"),
        (b"eth 3/0/1:2814.727 OLT-7/0/0/1", "2814.727"),
        (b"trunk 1/0/2:100.2", "100.2"),
        (b"1/0/2:7", "7"),
        (b"1/0/2:0.7", "7"),
        (b"eth 1/0/2:4096.7", "7"),  # 4096: no outer tag
        (b"slot=2;subslot=1;port=0;vlanid=1218;vlanid2=2685;", "1218.2685"),
        (b"slot=2;subslot=1;port=0;vlanid=1218", "1218"),
        (b"slot=2; subslot=1; port=0; vlanid=1218; vlanid2=2685", "1218.2685"),
        (b"SLOT=2;SUBSLOT=1;PORT=0;VLANID=9;VLANID2=0;", "9"),
        (b"vlanid=1;vlanid2=6", "1.6"),
        (b"vlanid=1;vlanid2=6\n", "1.6"),
        # nothing that we know
        (b"", ""),
        (b"ether1", ""),
        (b"GigabitEthernet0/0/1", ""),
        (b"atm 1/0/3:8.35", ""),  # VPI.VCI
        (b"3/0/1:99999.1", ""),
        (b"3/0/1:1.99999", ""),
        (b"3/0/1:1.2.3", ""),
        (b"3/0/1:", ""),
        (b"OLT 3/0/1:5.6", ""),
        (b"xvlanid=4", ""),
        (b"vlanid=", ""),
        (b"vlanid=0", ""),
        (b"vlanid=" + b"9" * 200, ""),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_a_line_is_read(sent: bytes, vlan: str) -> None:
    assert vlan_of(sent) == vlan


@pytest.mark.parametrize(
    ("typed", "vlan"),
    [
        ("100", "100"),
        (" 100.2001 ", "100.2001"),
        ("0100.2", "100.2"),
        ("5000", ""),
        ("1.5000", ""),
        ("a", ""),
        ("", ""),
    ],
)
def test_what_people_write_has_the_same_spelling(typed: str, vlan: str) -> None:
    assert normal_vlan(typed) == vlan
