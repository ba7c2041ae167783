"""People, links, sign-ins and tokens on a real store, and what an intruder in it cannot do."""

from __future__ import annotations

import asyncio
import re
import string
import time
from collections.abc import AsyncGenerator

import pytest

from bot.people import (
    BadPersonName,
    LastOwner,
    NoSuchPerson,
    NoSuchToken,
    People,
    Person,
    PersonNameTaken,
    RoleTooHigh,
    SignIn,
    TooManyTries,
)
from bot.people.people import SIGN_IN_S, csrf_holds
from bot.people.tries import SOURCES, TRIES, Tries
from tests.fleet.storage import INSTALLATION, Storage, running_storage


class Lab:
    """People on a store, and a clock that can be moved."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.late_ms = 0
        self.seconds = 0.0
        self.people = self.new_people()

    def new_people(self) -> People:
        """The people's room of a fresh process."""
        return People(
            self.storage.store,
            INSTALLATION,
            now_ms=lambda: time.time_ns() // 1_000_000 + self.late_ms,
            clock=lambda: self.seconds,
        )

    async def owner(self) -> Person:
        """The first person."""
        return await self.people.named("owner")

    async def signed_in(self, person: Person | None = None) -> SignIn:
        """A fresh sign-in."""
        who = person or await self.owner()
        sign_in = await self.people.sign_in(await self.people.make_link(who.id))
        assert sign_in is not None
        return sign_in

    async def stored(self) -> str:
        """Every stored byte, as text."""
        shown = []
        for key in await self.storage.raw.keys("*"):
            shown.append(str(key))
            if await self.storage.raw.type(key) == b"string":
                shown.append(str(await self.storage.raw.get(key)))
        return "\n".join(shown)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    async with running_storage() as storage:
        made = Lab(storage)
        await made.people.start()
        yield made


# People


async def test_the_first_start_makes_the_owner_and_the_next_nobody(lab: Lab) -> None:
    await lab.new_people().start()
    await asyncio.gather(*(lab.new_people().start() for _ in range(10)))
    assert [(p.name, p.role) for p in await lab.people.people()] == [("owner", "owner")]


async def test_people_are_added_found_and_given_another_role(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "viewer")
    assert (await lab.people.named("aDA")).id == ada.id
    assert (await lab.people.set_role(ada.id, "operator")).role == "operator"
    assert (await lab.people.person(ada.id)).role == "operator"
    assert [p.name for p in await lab.people.people()] == ["Ada", "owner"]


async def test_a_name_belongs_to_one_whatever_its_capitals(lab: Lab) -> None:
    done = await asyncio.gather(
        *(lab.people.add(name, "viewer") for name in ("Ada", "ADA", "ada", "aDa")), return_exceptions=True
    )
    assert sorted(type(d).__name__ for d in done) == ["Person"] + ["PersonNameTaken"] * 3


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " ada",
        "ada ",
        "a" * 41,
        "a\nb",
        "a\x00b",
        "\u202eowner",
        "ow\u200bner",
        "\u043ewner",
        "<b>",
        "-a",
    ],
)
async def test_a_name_that_could_be_mistaken_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(BadPersonName):
        await lab.people.add(name, "viewer")


async def test_the_id_of_somebody_who_is_gone_is_never_used_again(lab: Lab) -> None:
    first = await lab.people.add("Ada", "operator")
    await lab.people.remove(first.id)
    second = await lab.people.add("Ada", "viewer")
    assert second.id != first.id
    with pytest.raises(NoSuchPerson):
        await lab.people.person(first.id)
    with pytest.raises(PersonNameTaken):
        await lab.people.add("ada", "viewer")


async def test_the_last_owner_can_neither_go_nor_become_less(lab: Lab) -> None:
    owner = await lab.owner()
    with pytest.raises(LastOwner):
        await lab.people.remove(owner.id)
    with pytest.raises(LastOwner):
        await lab.people.set_role(owner.id, "operator")
    other = await lab.people.add("Ada", "owner")
    await lab.people.remove(owner.id)
    await lab.new_people().start()
    assert [p.id for p in await lab.people.people()] == [other.id]


async def test_nobody_is_nobody(lab: Lab) -> None:
    for id in ("p-0000000000000000", "", "../x", "x" * 1_000):
        with pytest.raises(NoSuchPerson):
            await lab.people.person(id)
    with pytest.raises(NoSuchPerson):
        await lab.people.named("nobody")
    with pytest.raises(NoSuchPerson):
        await lab.people.make_link("p-0000000000000000")


# Links


async def test_a_link_signs_in_once(lab: Lab) -> None:
    owner = await lab.owner()
    link = await lab.people.make_link(owner.id)
    first = await lab.people.sign_in(link)
    assert first is not None
    assert (first.person.id, bool(first.cookie)) == (owner.id, True)
    assert await lab.people.sign_in(link) is None


async def test_of_fifty_that_use_one_link_at_once_one_gets_in(lab: Lab) -> None:
    link = await lab.people.make_link((await lab.owner()).id)
    other = People(await lab.storage.another(), INSTALLATION)
    done = await asyncio.gather(*(people.sign_in(link) for people in (lab.people, other) for _ in range(25)))
    assert len([d for d in done if d]) == 1
    await other._store.close()


async def test_a_link_past_its_time_does_not_hold_even_if_the_store_still_has_it(lab: Lab) -> None:
    link = await lab.people.make_link((await lab.owner()).id, ttl_s=60)
    lab.late_ms = 59_000
    in_time = await lab.people.make_link((await lab.owner()).id, ttl_s=60)
    lab.late_ms = 60_001
    assert await lab.people.sign_in(link) is None
    assert await lab.people.sign_in(in_time) is not None


async def test_the_link_of_somebody_who_is_gone_does_not_hold(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "viewer")
    link = await lab.people.make_link(ada.id)
    await lab.people.remove(ada.id)
    assert await lab.people.sign_in(link) is None


async def test_secrets_fit_into_a_path_and_are_long_enough(lab: Lab) -> None:
    owner = await lab.owner()
    link = await lab.people.make_link(owner.id)
    token = (await lab.people.make_token(owner.id)).secret
    assert re.fullmatch(r"hcl_[A-Za-z0-9_-]{43}", link)
    assert re.fullmatch(r"hct_[A-Za-z0-9_-]{43}", token)
    cookie = (await lab.signed_in()).cookie
    assert set(cookie) <= set(string.ascii_letters + string.digits + "-_") and len(cookie) == 43


# Sign-ins


async def test_a_cookie_is_its_persons_until_signed_out(lab: Lab) -> None:
    sign_in = await lab.signed_in()
    found = await lab.people.signed_in(sign_in.cookie)
    assert found is not None
    assert (found.person, found.csrf, found.cookie) == (sign_in.person, sign_in.csrf, "")
    await lab.people.sign_out(sign_in.cookie)
    assert await lab.people.signed_in(sign_in.cookie) is None
    await lab.people.sign_out(sign_in.cookie)


async def test_signing_out_everywhere_ends_every_sign_in_of_that_person_only(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "viewer")
    mine = [await lab.signed_in() for _ in range(3)]
    hers = await lab.signed_in(ada)
    await lab.people.sign_out_everywhere((await lab.owner()).id)
    assert [await lab.people.signed_in(s.cookie) for s in mine] == [None] * 3
    assert await lab.people.signed_in(hers.cookie) is not None
    assert await lab.people.signed_in((await lab.signed_in()).cookie) is not None


async def test_a_sign_in_ends_by_itself(lab: Lab) -> None:
    sign_in = await lab.signed_in()
    lab.late_ms = SIGN_IN_S * 1000 - 10_000
    assert await lab.people.signed_in(sign_in.cookie) is not None
    lab.late_ms = SIGN_IN_S * 1000 + 10_000
    assert await lab.people.signed_in(sign_in.cookie) is None


async def test_a_role_that_changed_counts_at_once(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "operator")
    sign_in = await lab.signed_in(ada)
    token = await lab.people.make_token(ada.id)
    await lab.people.set_role(ada.id, "viewer")
    found = await lab.people.signed_in(sign_in.cookie)
    by_token = await lab.people.by_token(token.secret)
    assert found is not None and found.person.role == "viewer"
    assert by_token is not None and by_token.role == "viewer"


async def test_each_sign_in_has_a_csrf_token_of_its_own(lab: Lab) -> None:
    one, other = await lab.signed_in(), await lab.signed_in()
    assert one.csrf != other.csrf
    assert csrf_holds(one, one.csrf)
    for wrong in (other.csrf, "", one.csrf[:-1], one.csrf + "0", "é", "\ud800", one.cookie):
        assert not csrf_holds(one, wrong)


WRONG = [
    "",
    "x",
    "hcl_" + "A" * 43,
    "hct_" + "A" * 43,
    "A" * 43,
    "x" * 100_000,
    "\x00",
    "é",
    "\ud800",
    "../x",
]


@pytest.mark.parametrize("secret", WRONG, ids=lambda s: ascii(s)[:20])
async def test_what_was_never_given_out_opens_nothing(lab: Lab, secret: str) -> None:
    assert await lab.people.sign_in(secret) is None
    assert await lab.people.signed_in(secret) is None
    assert await lab.people.by_token(secret) is None
    await lab.people.sign_out(secret)


async def test_a_secret_opens_only_what_it_is_for(lab: Lab) -> None:
    owner = await lab.owner()
    link = await lab.people.make_link(owner.id)
    cookie = (await lab.signed_in()).cookie
    token = (await lab.people.make_token(owner.id)).secret
    assert await lab.people.by_token(link) is None
    assert await lab.people.by_token(cookie) is None
    assert await lab.people.signed_in(token) is None
    assert await lab.people.signed_in(link) is None
    assert await lab.people.sign_in(token) is None
    assert await lab.people.sign_in(cookie) is None
    assert await lab.people.sign_in(link) is not None


async def test_no_secret_stands_in_the_store(lab: Lab) -> None:
    owner = await lab.owner()
    secrets = [
        await lab.people.make_link(owner.id),
        (await lab.signed_in()).cookie,
        (await lab.signed_in()).csrf,
        (await lab.people.make_token(owner.id)).secret,
    ]
    stored = await lab.stored()
    assert owner.id in stored
    for secret in secrets:
        assert secret not in stored
        assert secret.removeprefix("hcl_").removeprefix("hct_") not in stored


async def test_no_secret_stands_in_the_log(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    owner = await lab.owner()
    link = await lab.people.make_link(owner.id)
    sign_in = await lab.people.sign_in(link, source="127.0.0.1")
    token = (await lab.people.make_token(owner.id)).secret
    await lab.people.by_token(token + "x", source="127.0.0.1")
    await lab.people.sign_in(link, source="127.0.0.1")
    shown = "".join(capsys.readouterr())
    assert "sign_in.failed" in shown
    assert sign_in is not None
    for secret in (link, sign_in.cookie, sign_in.csrf, token):
        assert secret not in shown


# Tokens


async def test_a_token_is_its_persons_until_revoked(lab: Lab) -> None:
    owner = await lab.owner()
    one, other = [await lab.people.make_token(owner.id, name=name) for name in ("ci", "laptop")]
    assert await lab.people.by_token(one.secret) == owner
    assert sorted(t.name for t in await lab.people.tokens(owner.id)) == ["ci", "laptop"]
    await lab.people.revoke_token(one.token.id)
    assert await lab.people.by_token(one.secret) is None
    assert await lab.people.by_token(other.secret) == owner
    with pytest.raises(NoSuchToken):
        await lab.people.revoke_token(one.token.id)


async def test_a_token_ends_by_itself(lab: Lab) -> None:
    token = await lab.people.make_token((await lab.owner()).id, ttl_s=60)
    assert await lab.people.by_token(token.secret) is not None
    lab.late_ms = 61_000
    assert await lab.people.by_token(token.secret) is None


async def test_a_token_never_may_more_than_its_person(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "operator")
    low = await lab.people.make_token(ada.id, role="viewer")
    found = await lab.people.by_token(low.secret)
    assert found is not None and (found.id, found.role) == (ada.id, "viewer")
    with pytest.raises(RoleTooHigh):
        await lab.people.make_token(ada.id, role="owner")
    same = await lab.people.make_token(ada.id, role="operator")
    await lab.people.set_role(ada.id, "support")
    found = await lab.people.by_token(same.secret)
    assert found is not None and found.role == "support"


async def test_tokens_of_somebody_who_is_gone_do_not_hold(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "viewer")
    token = await lab.people.make_token(ada.id)
    sign_in = await lab.signed_in(ada)
    await lab.people.remove(ada.id)
    assert await lab.people.by_token(token.secret) is None
    assert await lab.people.signed_in(sign_in.cookie) is None
    assert await lab.people.tokens(ada.id) == []


# Failures and an intruder in the store


async def test_failures_from_one_source_are_slowed_and_right_ones_still_pass(lab: Lab) -> None:
    token = (await lab.people.make_token((await lab.owner()).id)).secret
    for _ in range(TRIES):
        assert await lab.people.by_token("hct_wrong", source="192.0.2.1") is None
    with pytest.raises(TooManyTries) as refused:
        await lab.people.by_token("hct_wrong", source="192.0.2.1")
    assert "Wait" in refused.value.next_step
    with pytest.raises(TooManyTries):
        await lab.people.sign_in("hcl_wrong", source="192.0.2.1")
    assert await lab.people.by_token(token, source="192.0.2.1") is not None
    assert await lab.people.by_token("hct_wrong", source="192.0.2.2") is None
    lab.seconds += 6.1
    assert await lab.people.by_token("hct_wrong", source="192.0.2.1") is None


def test_sources_are_forgotten_before_they_fill_the_memory() -> None:
    tries = Tries(lambda: 0.0)
    for n in range(SOURCES * 2):
        tries.failed(f"source {n}")
    assert len(tries._left) == SOURCES


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("person", (b'"viewer"', b'"owner" ')),
        ("token", (b'"ci"', b'"cx"')),
        ("sign-in", (b'"round":0', b'"round":1')),
    ],
)
async def test_a_record_changed_in_the_store_opens_nothing(
    lab: Lab, kind: str, change: tuple[bytes, bytes]
) -> None:
    ada = await lab.people.add("Ada", "viewer")
    token = (await lab.people.make_token(ada.id, name="ci")).secret
    cookie = (await lab.signed_in(ada)).cookie
    if kind == "person":
        await lab.storage.overwrite(kind, ada.id, change)
    else:
        key = await lab.storage.key_of(kind)
        await lab.storage.overwrite(kind, key.split(f":{kind}:")[1], change)
    by_token, by_cookie = await lab.people.by_token(token), await lab.people.signed_in(cookie)
    assert (by_token is None) == (kind in ("person", "token"))
    assert (by_cookie is None) == (kind in ("person", "sign-in"))
    alarms = await lab.storage.store.alarms()
    assert len(alarms) == 1
    assert f":{kind}:" in alarms[0].key


async def test_a_link_changed_in_the_store_opens_nothing(lab: Lab) -> None:
    ada = await lab.people.add("Ada", "viewer")
    link = await lab.people.make_link(ada.id)
    owner = await lab.owner()
    id = (await lab.storage.key_of("link")).split(":link:")[1]
    await lab.storage.overwrite("link", id, (ada.id.encode(), owner.id.encode()))
    assert await lab.people.sign_in(link) is None
    assert len(await lab.storage.store.alarms()) == 1


async def test_a_sign_in_copied_to_another_cookies_place_opens_nothing(lab: Lab) -> None:
    """The tag covers the key's name, so that no record can stand in for another."""
    owner = await lab.owner()
    await lab.signed_in(owner)
    ada = await lab.people.add("Ada", "viewer")
    his = await lab.storage.key_of("sign-in")
    hers = await lab.signed_in(ada)
    her_key = next(key for key in await lab.storage.keys("sign-in") if key != his)
    await lab.storage.raw.set(her_key, await lab.storage.value_of(his))
    assert await lab.people.signed_in(hers.cookie) is None


async def test_an_owner_written_into_the_store_by_hand_is_nobody(lab: Lab) -> None:
    owner = await lab.owner()
    key = await lab.storage.key_of("person", owner.id)
    forged = "p-1111111111111111"
    value = await lab.storage.raw.get(key)
    assert isinstance(value, bytes)
    await lab.storage.raw.set(
        key.replace(owner.id, forged), value.replace(owner.id.encode(), forged.encode())
    )
    await lab.storage.raw.zadd(key.split(":record:")[0] + ":records:person", {forged: 0})
    assert [p.id for p in await lab.people.people()] == [owner.id]
    with pytest.raises(NoSuchPerson):
        await lab.people.make_link(forged)


async def test_a_changed_owner_gets_no_successor_by_a_restart(lab: Lab) -> None:
    owner = await lab.owner()
    await lab.storage.overwrite("person", owner.id, (b'"round":0', b'"round":7'))
    await lab.new_people().start()
    assert await lab.people.people() == []
