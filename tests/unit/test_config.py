"""Config: what a run's parameters are set to, how that is checked, hashed and shown."""

# ruff: noqa: ARG001 - signatures are the point

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Optional

import pytest
from pydantic import BaseModel, Field, PrivateAttr, SecretBytes, SecretStr, model_validator

from flowstone import Asset, AssetGraph, Context, InputPath, asset
from flowstone.core.config import (
    MASK,
    Config,
    Written,
    is_secret,
    parse_setting,
    public,
    redact,
    resolve,
)
from flowstone.core.hashing import digest
from flowstone.errors import ConfigError, DefinitionErrors, HashingError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "hunter2"  # noqa: S105 - what must be seen nowhere


@asset
def orders(limit: int = 5, *, day: str = "mon") -> list[int]:
    return [limit]


@asset
def revenue(orders: list[int], ctx: Context, rate: float = 1.5) -> float:
    return sum(orders) * rate


@asset
def report(revenue: float) -> str:
    return str(revenue)


GRAPH = AssetGraph([orders, revenue, report])


class Color(enum.Enum):
    RED = "red"
    ONE = 1


class Window(BaseModel):
    days: int = 7
    zone: str = "UTC"


class Login(BaseModel):
    port: int = 5432
    password: str = SECRET
    pin: SecretStr = SecretStr(SECRET)
    _token: str = PrivateAttr(SECRET)


def login(secret: str) -> Login:
    return Login(password=secret, pin=SecretStr(secret))


@dataclass
class Client:
    host: str = "h"
    apiKey: str = SECRET  # noqa: N815 - as people write it


def made(annotation: Any, default: Any, name: str = "x") -> Asset[..., Any]:
    """An asset ``made`` with one config parameter."""
    text = f"def made({name}: annotation = default): pass"
    names = {"annotation": annotation, "default": default}
    exec(text, names)  # noqa: S102 - so that the parameter's name is free
    return asset(names["made"])


def config_of(annotation: Any, default: Any, *given: Any, name: str = "x") -> Config:
    """How ``made`` is configured, with its parameter given or not."""
    overrides = {f"made.{name}": value for value in given}
    return resolve(AssetGraph([made(annotation, default, name)]), overrides)["made"]


def value_of(annotation: Any, default: Any, given: Any) -> Any:
    return config_of(annotation, default, given).values["x"]


def refusal(annotation: Any, default: Any, *given: Any, name: str = "x") -> str:
    with pytest.raises(ConfigError) as caught:
        config_of(annotation, default, *given, name=name)
    return str(caught.value)


def told(overrides: Mapping[str, Any], graph: AssetGraph = GRAPH) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(graph, overrides)
    return str(caught.value)


class TestDefaults:
    def test_defaults_are_the_values_of_parameters_not_given(self) -> None:
        found = resolve(GRAPH, {})
        assert found["orders"].values == {"limit": 5, "day": "mon"}
        assert found["orders"].shown == {"limit": "5", "day": "'mon'"}
        assert found["revenue"].values == {"rate": 1.5}

    def test_assets_without_config_have_none(self) -> None:
        assert set(resolve(GRAPH, {})) == {"orders", "revenue"}

    def test_a_default_is_passed_unchecked(self) -> None:
        assert config_of(list[int], ["a"]).values["x"] == ["a"]
        window = Window()
        assert config_of(int, window).values["x"] is window

    def test_each_value_counts_with_its_type(self) -> None:
        digests = {config_of(Any, value).digests["x"] for value in (1, True, 1.0, "1", None, [1])}
        assert len(digests) == 6

    def test_a_default_without_canonical_form_is_told_with_place_and_cure(self) -> None:
        message = refusal(object, object())
        assert message.startswith("asset 'made' (<string>:1): config 'x' has no canonical form")
        assert message.endswith("use plain values, dataclasses or pydantic models")

    def test_a_default_that_contains_itself_is_told(self) -> None:
        ring: list[Any] = []
        ring.append(ring)
        assert "config 'x' has no canonical form" in refusal(list, ring)


class TestOverrides:
    @pytest.mark.parametrize(
        "overrides",
        [
            {"orders": {"limit": 9, "day": "tue"}},
            {"orders.limit": 9, "orders.day": "tue"},
            {"orders": {"limit": 9}, "orders.day": "tue"},
            {"orders.day": "tue", "orders": {"limit": 9}},
        ],
    )
    def test_both_spellings_mean_the_same(self, overrides: dict[str, Any]) -> None:
        assert resolve(GRAPH, overrides)["orders"].values == {"limit": 9, "day": "tue"}

    def test_the_later_spelling_wins(self) -> None:
        later = resolve(GRAPH, {"orders": {"limit": 1}, "orders.limit": 2})
        assert later["orders"].values["limit"] == 2

    def test_only_what_is_given_changes(self) -> None:
        before, after = resolve(GRAPH, {}), resolve(GRAPH, {"orders.limit": 9})
        assert after["revenue"] == before["revenue"]
        assert after["orders"].digests["limit"] != before["orders"].digests["limit"]
        assert after["orders"].digests["day"] == before["orders"].digests["day"]

    def test_a_value_equal_to_the_default_hashes_as_the_default(self) -> None:
        assert resolve(GRAPH, {"orders.limit": "5"}) == resolve(GRAPH, {})

    def test_an_asset_s_name_may_have_dots(self) -> None:
        dotted = asset(name="shop.orders")(lambda limit=1: limit)
        graph = AssetGraph([dotted])
        for overrides in ({"shop.orders.limit": 2}, {"shop.orders": {"limit": 2}}):
            assert resolve(graph, overrides)["shop.orders"].values == {"limit": 2}

    def test_a_mapping_can_be_a_parameter_s_value(self) -> None:
        assert value_of(dict[str, int], {}, {"a": "1"}) == {"a": 1}

    def test_the_graph_and_the_overrides_stay_as_they_are(self) -> None:
        overrides: dict[str, Any] = {"orders": {"limit": "9"}}
        resolve(GRAPH, overrides)
        assert overrides == {"orders": {"limit": "9"}}
        assert resolve(GRAPH, {})["orders"].values["limit"] == 5


class TestMistakes:
    def test_an_unknown_asset_is_told_with_the_nearest(self) -> None:
        wanted = "config: no asset named 'ordrs'; did you mean 'orders'?"
        assert told({"ordrs.limit": 1}) == wanted
        assert told({"ordrs": {"limit": 1}}) == wanted

    def test_an_unknown_parameter_is_told_with_the_nearest(self) -> None:
        for overrides in ({"orders.limt": 1}, {"orders": {"limt": 1}}):
            message = told(overrides)
            assert message.startswith(f"config: asset 'orders' ({__file__}:")
            assert message.endswith("has no config parameter 'limt'; did you mean 'limit'?")

    def test_where_none_is_near_all_parameters_are_told(self) -> None:
        assert told({"orders.xyz": 1}).endswith("no config parameter 'xyz'; it has limit, day")

    @pytest.mark.parametrize("key", ["revenue.orders", "revenue.ctx"])
    def test_dependencies_and_context_are_no_config(self, key: str) -> None:
        assert "has no config parameter" in told({key: 1})

    def test_an_asset_without_config_says_so(self) -> None:
        assert told({"report.revenue": 1}).endswith("'revenue'; it has none")

    def test_a_key_that_names_no_parameter_is_told_with_the_form(self) -> None:
        cure = "'asset.parameter' to a value"
        assert told({"limit": 3}) == f"config: set 'limit' or {cure}"
        assert told({"orders": 3}) == (
            f"config: set 'orders' to a mapping of its parameters or {cure}"
        )

    def test_all_mistakes_are_told_at_once(self) -> None:
        with pytest.raises(DefinitionErrors) as caught:
            resolve(GRAPH, {"orders.limit": "q", "orders.day": 3, "nothing.x": 1, "revenue.x": 1})
        assert len(caught.value.errors) == 4
        assert all(isinstance(error, ConfigError) for error in caught.value.errors)


class TestValidation:
    @pytest.mark.parametrize(
        ("annotation", "given", "wanted"),
        [
            (int, "7", 7),
            (float, "7.5", 7.5),
            (bool, "yes", True),
            (Decimal, "1.50", Decimal("1.50")),
            (Path, "a/b", Path("a/b")),
            (dt.date, "2024-02-03", dt.date(2024, 2, 3)),
            (dt.datetime, "2024-02-03T04:05", dt.datetime(2024, 2, 3, 4, 5)),  # noqa: DTZ001 - as given
            (dt.timedelta, "P1D", dt.timedelta(days=1)),
            (Color, "red", Color.RED),
            (Color, 1, Color.ONE),
            (Literal["a", "b"], "b", "b"),
            (list[int], ["1", 2], [1, 2]),
            (tuple[int, ...], [1, "2"], (1, 2)),
            (set[str], ["a", "a"], {"a"}),
            (int | None, None, None),
            (Optional[int], "3", 3),  # noqa: UP045 - as people write it
            (Window, {"days": "3"}, Window(days=3)),
            (Window, Window(days=3), Window(days=3)),
            (list[Window], [{}], [Window()]),
            (Client, {"host": "other"}, Client("other")),
            (Annotated[int, Field(ge=1)], 1, 1),
            (Any, "7", "7"),
        ],
    )
    def test_a_value_becomes_what_the_annotation_says(
        self, annotation: Any, given: Any, wanted: Any
    ) -> None:
        value = value_of(annotation, None, given)
        assert value == wanted
        assert type(value) is type(wanted)

    def test_string_annotations_are_evaluated_where_the_function_stands(self) -> None:
        @asset
        def local(window: Window = Window(), day: dt.date | None = None) -> None: ...  # noqa: B008 - never changed

        given = {"local": {"window": {"days": 1}, "day": "2024-02-03"}}
        values = resolve(AssetGraph([local]), given)["local"].values
        assert values == {"window": Window(days=1), "day": dt.date(2024, 2, 3)}

    def test_without_annotation_the_default_s_type_is_asked_for(self) -> None:
        untyped = asset(name="untyped")(lambda limit=5, free=None: (limit, free))
        graph = AssetGraph([untyped])
        assert resolve(graph, {"untyped.limit": "7"})["untyped"].values["limit"] == 7
        assert resolve(graph, {"untyped.free": "7"})["untyped"].values["free"] == "7"
        assert told({"untyped.limit": "x"}, graph).startswith("config untyped.limit = 'x': ")

    def test_classes_pydantic_does_not_know_are_taken_by_instance(self) -> None:
        class Own: ...

        assert "should be an instance of" in refusal(Own, None, 3)

    @pytest.mark.parametrize(
        ("annotation", "given", "problem"),
        [
            (int, "x", "'x': Input should be a valid integer"),
            (Color, "blue", "'blue': Input should be 'red' or 1"),
            (Annotated[int, Field(ge=1)], 0, "0: Input should be greater than or equal to 1"),
            (dt.date, "mon", "'mon': Input should be a valid date"),
            (Window, {"days": "x"}, "{'days': 'x'}: at ['days']: Input should be a valid integer"),
            (list[int], [1, "a"], "[1, 'a']: at [1]: Input should be a valid integer"),
        ],
    )
    def test_a_refused_value_is_told_with_asset_parameter_and_reason(
        self, annotation: Any, given: Any, problem: str
    ) -> None:
        assert refusal(annotation, None, given).startswith(f"config made.x = {problem}")

    def test_the_first_of_several_reasons_is_told_and_the_others_counted(self) -> None:
        assert refusal(list[int], [], ["a", "b", "c"]).endswith("(and 2 more)")

    def test_a_long_value_is_cut_in_rows_and_errors(self) -> None:
        long = "x" * 100_000
        assert len(config_of(str, long).shown["x"]) <= 256
        assert len(refusal(int, 0, long)) < 1_000

    def test_a_validator_that_raises_anything_is_told_as_a_config_error(self) -> None:
        class Odd(BaseModel):
            @model_validator(mode="after")
            def never(self) -> Odd:
                raise RuntimeError("boom")

        assert refusal(Odd, None, {}) == "config made.x = {}: validation raised RuntimeError: boom"

    def test_an_annotation_that_can_t_be_checked_is_told(self) -> None:
        class Broken(BaseModel):
            later: "NeverDefined"  # type: ignore[name-defined]  # noqa: F821 - the point

        message = refusal(Broken, None, {})
        assert message.startswith("config made.x: its annotation can't be checked: ")
        assert "\n" not in message


class TestModels:
    def test_models_hash_by_what_they_hold(self) -> None:
        first, same, other = (
            config_of(Window, Window(), {"days": days}).digests for days in (3, "3", 4)
        )
        assert first == same != other

    def test_a_model_is_passed_itself_and_shown_by_its_fields(self) -> None:
        default = Window()
        config = config_of(Window, default)
        assert config.values["x"] is default
        assert config.shown["x"] == "Window(days=7, zone='UTC')"


class TestSecrets:
    """They are passed on, never shown, never hashed."""

    @pytest.mark.parametrize(
        ("annotation", "given", "name"),
        [
            (SecretStr, SECRET, "x"),
            (SecretBytes, SECRET.encode(), "x"),
            (SecretStr | None, SECRET, "x"),
            (Optional[SecretStr], SECRET, "x"),  # noqa: UP045 - as people write it
            (Annotated[SecretStr, "told"], SECRET, "x"),
            (str, SECRET, "password"),
            (str, SECRET, "db_password"),
            (str, SECRET, "apiKey"),
            (str | None, SECRET, "access_token"),
        ],
    )
    def test_a_secret_is_passed_masked_and_not_hashed(
        self, annotation: Any, given: Any, name: str
    ) -> None:
        config = config_of(annotation, None, given, name=name)
        value = config.values[name]
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        assert plain == given
        assert config.shown == {name: MASK}
        assert config.digests == {}
        assert SECRET not in repr(config)

    def test_a_secret_default_is_masked_and_not_hashed(self) -> None:
        assert config_of(str, SECRET, name="password").digests == {}
        config = config_of(Any, SecretStr(SECRET))
        assert (config.shown, config.digests) == ({"x": MASK}, {})

    @pytest.mark.parametrize("default", [SecretStr(SECRET), None])
    def test_an_unset_secret_counts_like_a_set_one(self, default: Any) -> None:
        assert config_of(SecretStr | None, default) == Config(
            {"x": default}, digests={}, shown={"x": MASK}
        )

    @pytest.mark.parametrize(
        ("value", "other"),
        [
            (login(SECRET), login("other")),
            (Client(), Client(apiKey="k")),
            ({"a": {"token": SECRET}}, {"a": {"token": "t"}}),
            ([{"auth_key": SECRET}], [{"auth_key": "k"}]),
            ([SecretStr(SECRET)], [SecretStr("s")]),
            ({"X-Api-Key": SECRET}, {"X-Api-Key": "k"}),
        ],
    )
    def test_a_secret_within_a_value_is_masked_and_does_not_count(
        self, value: Any, other: Any
    ) -> None:
        config = config_of(Any, value)
        assert SECRET not in config.shown["x"]
        assert MASK in config.shown["x"]
        assert config.digests == config_of(Any, other).digests

    def test_what_stands_beside_a_secret_still_counts(self) -> None:
        assert config_of(Any, Login(port=1)).digests != config_of(Any, Login(port=2)).digests
        assert "'port': 1" in config_of(Any, Login(port=1)).shown["x"]

    @pytest.mark.parametrize(
        ("annotation", "given", "name"),
        [
            (SecretStr, 3, "x"),
            (int, SECRET, "password"),
            (int, Written(SECRET), "api_key"),
            (SecretStr, [SECRET], "x"),
            (Login, {"port": "x", "password": SECRET}, "x"),
            (Client, {"host": 3, "apiKey": SECRET}, "x"),
            (dict[str, int], {"token": SECRET}, "x"),
            (int, f"postgresql://bob:{SECRET}@host/db", "x"),
        ],
    )
    def test_a_refusal_names_the_parameter_and_hides_the_secret(
        self, annotation: Any, given: Any, name: str
    ) -> None:
        message = refusal(annotation, None, given, name=name)
        assert message.startswith(f"config made.{name} = ")
        assert SECRET not in message

    def test_what_a_secret_s_validator_says_is_not_told(self) -> None:
        class Strict(BaseModel):
            password: str

            @model_validator(mode="after")
            def check(self) -> Strict:
                raise RuntimeError(self.password)

        message = refusal(Strict, None, {"password": SECRET}, name="login_secret")
        assert message == f"config made.login_secret = {MASK}: validation raised RuntimeError"

    def test_the_password_of_an_address_is_passed_but_not_shown(self) -> None:
        address = f"postgresql://bob:{SECRET}@host/db"
        config = config_of(str, address)
        assert config.values["x"] == address
        assert config.shown["x"] == f"'postgresql://bob:{MASK}@host/db'"

    def test_a_value_without_canonical_form_is_told_without_being_shown(self) -> None:
        class Session:
            def __repr__(self) -> str:
                return SECRET

        assert SECRET not in refusal(Any, Session())

    @pytest.mark.parametrize(
        "name",
        [
            "password",
            "PASSWORD",
            "passwords",
            "passwd",
            "pwd",
            "passphrase",
            "db_password",
            "DBPassword",
            "secret",
            "client_secret",
            "clientSecret",
            "token",
            "accessToken",
            "credentials",
            "authorization",
            "Proxy-Authorization",
            "key",
            "api_key",
            "apikey",
            "apiKey",
            "APIKey",
            "API_KEY",
            "X-Api-Key",
            "aws_secret_access_key",
            "private_key",
            "ssh_keys",
        ],
    )
    def test_names_that_read_like_a_secret(self, name: str) -> None:
        assert is_secret(name)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "monkey",
            "keys",
            "sort_key",
            "primary_key",
            "keyword",
            "tokenizer",
            "secretary",
            "author",
            "compass",
            "passenger",
            "limit",
            "password_file",
            "token_count",
        ],
    )
    def test_names_that_do_not(self, name: str) -> None:
        assert not is_secret(name)
        assert is_secret(name, SecretStr(""))


class TestPublic:
    def test_a_value_without_secrets_is_itself(self) -> None:
        for value in (1, "a", [1, (2,)], {"a": {1}}, Window(), {"keys": [None]}):
            assert public(value) is value

    def test_secrets_are_masked_at_any_depth_and_the_value_left_alone(self) -> None:
        value = {"a": [{"password": SECRET, "n": 1}], "b": (SecretStr(SECRET), 2)}
        assert public(value) == {"a": [{"password": MASK, "n": 1}], "b": [MASK, 2]}
        assert value["a"] == [{"password": SECRET, "n": 1}]

    def test_objects_become_their_class_s_name_and_what_they_hold(self) -> None:
        assert public(Client()) == {"Client": {"host": "h", "apiKey": MASK}}

    def test_a_set_of_secrets_is_told_in_one_order(self) -> None:
        assert public({SecretStr("a"), SecretStr("b")}) == [MASK, MASK]

    def test_a_ring_is_refused(self) -> None:
        ring: dict[str, Any] = {}
        ring["ring"] = ring
        with pytest.raises(HashingError, match="contains itself"):
            public(ring)


class TestRedact:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            (f"postgresql://bob:{SECRET}@h:1/db", f"postgresql://bob:{MASK}@h:1/db"),
            (f"redis://:{SECRET}@h", f"redis://:{MASK}@h"),
            (f"a://b:{SECRET}@{SECRET}@h", f"a://b:{MASK}@h"),
            (f"host=h password={SECRET} user=b", f"host=h password={MASK} user=b"),
            (f"password = '{SECRET} more' x", f"password = {MASK} x"),
            (f"PASSWORD='it\\'s {SECRET}'", f"PASSWORD={MASK}"),
            (f"postgresql://h/db?password={SECRET}&a=b", f"postgresql://h/db?password={MASK}&a=b"),
        ],
    )
    def test_passwords_are_masked_and_the_rest_is_kept(self, text: str, wanted: str) -> None:
        assert redact(text) == wanted

    @pytest.mark.parametrize("text", ["", "a:b@c", "https://h:80/a@b", "postgresql://bob@h/db"])
    def test_other_text_stays_as_it_is(self, text: str) -> None:
        assert redact(text) == text


class TestSettings:
    """``asset.parameter=value``, as the command line takes it."""

    @pytest.mark.parametrize(
        ("text", "key", "value"),
        [
            ("orders.limit=7", "orders.limit", "7"),
            (" orders.limit =7", "orders.limit", "7"),
            ("shop.orders.limit=7", "shop.orders.limit", "7"),
            ("orders.day=", "orders.day", ""),
            ("orders.day=a=b", "orders.day", "a=b"),
            ("orders.day= mon ", "orders.day", " mon "),
        ],
    )
    def test_a_setting_is_a_key_and_the_rest_its_value(
        self, text: str, key: str, value: str
    ) -> None:
        assert parse_setting(text) == (key, Written(value))

    @pytest.mark.parametrize("text", ["", "orders", "orders.limit", "limit=7", ".limit=7", "a.=7"])
    def test_another_form_is_told_with_the_right_one(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"can't read the setting .*asset\.parameter=value"):
            parse_setting(text)

    def test_a_setting_without_dot_does_not_show_its_value(self) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_setting(f"password={SECRET}")
        assert SECRET not in str(caught.value)

    def test_a_value_is_not_in_the_repr(self) -> None:
        assert SECRET not in repr(parse_setting(f"orders.password={SECRET}"))

    @pytest.mark.parametrize(
        ("annotation", "text", "wanted"),
        [
            (int, "7", 7),
            (float, "7", 7.0),
            (str, "7", "7"),
            (str, "007", "007"),
            (str, "1.50", "1.50"),
            (str, "null", "null"),
            (str, "mon", "mon"),
            (str, '"mon"', "mon"),
            (str, "", ""),
            (str | None, "null", None),
            (bool, "true", True),
            (bool, "no", False),
            (list[int], "[1, 2]", [1, 2]),
            (dict[str, int], '{"a": 1}', {"a": 1}),
            (Window, '{"days": 3}', Window(days=3)),
            (dt.date, "2024-02-03", dt.date(2024, 2, 3)),
            (Color, "red", Color.RED),
            (Color, "1", Color.ONE),
            (Path, "a/b", Path("a/b")),
            (SecretStr, "12345", SecretStr("12345")),
            (Any, "[1", "[1"),
            (Any, "7", 7),
        ],
    )
    def test_the_annotation_decides_how_the_text_is_read(
        self, annotation: Any, text: str, wanted: Any
    ) -> None:
        value = value_of(annotation, None, Written(text))
        assert value == wanted
        assert type(value) is type(wanted)

    def test_text_nested_without_end_is_text(self) -> None:
        deep = "[" * 100_000
        assert Written(deep).readings(Any) == [deep]

    def test_a_refused_text_is_told_as_it_was_written(self) -> None:
        assert refusal(int, 1, Written("seven")).startswith("config made.x = 'seven': ")

    def test_settings_are_overrides(self) -> None:
        overrides = dict(map(parse_setting, ["orders.limit=9", "orders.day=9", "revenue.rate=2"]))
        found = resolve(GRAPH, overrides)
        assert found["orders"].values == {"limit": 9, "day": "9"}
        assert found["revenue"].values == {"rate": 2.0}


class TestRefusedSecrets:
    """A value that is refused is shown only if nothing in it can be a secret."""

    @pytest.mark.parametrize(
        ("annotation", "given"),
        [
            (Login, Written('{"port": "q", "password": "hunter2"}')),
            (Login, {"port": "q", "pin": SECRET}),
            (list[SecretStr], [SECRET, 3]),
            (dict[str, Login | None], {"a": {"port": "q", "pin": SECRET}}),
        ],
    )
    def test_nested_secrets_stay_out_of_refusals(self, annotation: Any, given: Any) -> None:
        assert SECRET not in refusal(annotation, None, given)

    def test_what_a_validator_of_a_secret_says_stays_out_too(self) -> None:
        class Checked(BaseModel):
            pin: SecretStr

            @model_validator(mode="after")
            def check(self) -> Checked:
                raise ValueError(f"bad {self.pin.get_secret_value()}")

        assert SECRET not in refusal(Checked, None, {"pin": SECRET})

    def test_fields_of_named_tuples_count_by_name(self) -> None:
        class Account(NamedTuple):
            user: str
            token: str

        one, two = (config_of(Any, Account("me", secret)) for secret in (SECRET, "other"))
        assert one.shown["x"].endswith("Account': {'user': 'me', 'token': '**********'}}")
        assert one.digests == two.digests

    def test_a_number_of_tokens_is_no_secret(self) -> None:
        found = config_of(int, 100, name="max_tokens")
        assert found.shown == {"max_tokens": "100"}
        assert found.digests


class TestKeys:
    def test_keys_that_are_no_text_are_told_as_such(self) -> None:
        assert "not 1" in told({1: 2})  # type: ignore[dict-item]  # the point
        assert "no config parameter 1" in told({"orders": {1: 2}})


class TestExactText:
    def test_decimals_keep_every_digit_and_words_are_no_numbers(self) -> None:
        exact = "0.12345678901234567890123"
        assert value_of(Decimal, Decimal(0), Written(exact)) == Decimal(exact)
        refusal(int, 0, Written("true"))


def test_a_function_that_changes_its_default_does_not_change_the_next_run() -> None:
    @asset
    def grows(seen: list[int] = []) -> int:  # noqa: B006 - what people write
        seen.append(1)
        return len(seen)

    graph = AssetGraph([grows])
    first = resolve(graph, {})["grows"]
    assert grows(**first.values) == 1
    assert resolve(graph, {})["grows"].digests == first.digests


class TestInputPaths:
    """They count by what they hold, which is looked at outside."""

    def test_the_path_does_not_count(self) -> None:
        one, other = (config_of(InputPath, Path("a"), given) for given in ("a", "b"))
        assert one.digests == other.digests == {}
        assert (one.shown, other.shown) == ({"x": "a"}, {"x": "b"})
        assert one.inputs == one.values == {"x": Path("a")}

    def test_a_plain_path_counts_as_it_is_written(self) -> None:
        config = config_of(Path, Path("a"))
        assert config.inputs == {}
        assert config.digests == {"x": digest(Path("a"))}

    def test_a_path_is_asked_for(self) -> None:
        told = refusal(InputPath, Path("a"), 3)
        assert told.startswith("config made.x = 3: Input is not a valid path")

    def test_a_long_list_of_paths_is_cut_where_it_is_shown(self) -> None:
        paths = [Path(f"data/{number}.csv") for number in range(1_000)]
        shown = config_of(list[InputPath], paths).shown["x"]
        assert shown.startswith("data/0.csv, data/1.csv, ")
        assert len(shown) <= 256


def test_a_config_knows_the_texts_that_are_secret() -> None:
    written = SecretStr("one")

    @asset
    def made(code: SecretStr = written, token: str = "two", size: int = 3) -> int:  # noqa: S107 - no real ones
        return size

    config = resolve(AssetGraph([made]), {})["made"]
    assert sorted(config.secrets) == ["one", "two"]
    assert Config().secrets == []
