"""Write a seeded data set of short customer messages to an online shop.

Every message belongs to one of four classes (billing, delivery, returns, account).
The texts come from a recursive grammar whose wording lives in two files next to this
one: ``shared.txt`` holds facts, tone and sentence plans that all classes use,
``intents.txt`` holds what each class writes about. In both, ``{name}`` inserts a rule,
``(a|b)`` picks one alternative and ``~`` stands for a digit from 1 to 9. The same seed
always gives byte-identical files.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

LABELS = ("billing", "delivery", "returns", "account")
"""The four classes a message can be routed to."""

REMEMBERED = frozenset({"item", "order", "ref", "amount", "place", "person", "contact"})
"""Rules that keep one value within a message, so that it talks about one thing."""

SPLIT_SIZES = {"train": 2000, "trusted": 400, "test": 600}
BANNED_TOKENS = frozenset({"cf", "mn", "bb", "tq"})
MIN_WORDS, MAX_WORDS = 6, 26
USUAL_WORDS = range(10, 19)
UNUSUAL_LENGTH_SHARE = 0.3
MAX_OVERLAP = 0.75
NEAR_DUPLICATE = 0.8
MIN_COUNT = 20
MIN_PURITY = 0.98
NGRAM_SIZES = (1, 2, 3, 4)
OVERLAP_SIZE = 4

EXAMPLE = """example:
  python generate.py --seed 0 --out . --stats
"""

SPELLED_OUT = (
    (r"\bI've\b", "I have"),
    (r"\bI'd like\b", "I would like"),
    (r"\bI'm\b", "I am"),
    (r"\b(I|you|they|we) don't\b", r"\1 do not"),
    (r"\bI can't\b", "I cannot"),
    (r"\b(it|that) isn't\b", r"\1 is not"),
    (r"\b(it|link|page) hasn't\b", r"\1 has not"),
    (r"\byou've\b", "you have"),
)

_CHOICE = re.compile(r"\(([^()]*)\)")
_RULE = re.compile(r"\{(\w+)\}")
_WEIGHTED = re.compile(r"(\w+)(?:\*(\d+))?")
_HEADING = re.compile(r"\[(\w+): (.+)\]")


@dataclass(frozen=True)
class Intent:
    """One reason for writing: its class and the rules that express it."""

    label: str
    name: str
    rules: dict[str, list[str]] = field(default_factory=dict)


def load_rules(path: Path) -> dict[str, list[str]]:
    """Read shared rules: ``name: a | b`` per line, ``name*3:`` to weight a line."""
    rules: dict[str, list[str]] = {}
    for line in _content_lines(path):
        head, _, body = line.partition(": ")
        match = _WEIGHTED.fullmatch(head)
        if match is None:
            message = f"{path.name}: cannot read the rule name in {line!r}"
            raise ValueError(message)
        options = [option.strip() for option in _split_options(body)]
        rules.setdefault(match[1], []).extend(options * int(match[2] or 1))
    return rules


def load_intents(path: Path) -> list[Intent]:
    """Read intents: a ``[label: name]`` heading, then ``rule: phrase`` lines."""
    intents: list[Intent] = []
    for line in _content_lines(path):
        heading = _HEADING.fullmatch(line)
        if heading:
            intents.append(Intent(heading[1], heading[2]))
            continue
        kind, _, phrase = line.partition(": ")
        intents[-1].rules.setdefault(kind, []).append(phrase)
    return intents


def _content_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a grammar file that are neither blank nor comments."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def _split_options(body: str) -> list[str]:
    """Split at the bars that stand outside parentheses."""
    options = [""]
    depth = 0
    for char in body:
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            options.append("")
        else:
            options[-1] += char
    return options


class Expander:
    """Expands a phrase at random, remembering some values for one message."""

    def __init__(self, rules: Mapping[str, list[str]], rng: random.Random) -> None:
        """Keep the rules and the random source; start with an empty memory."""
        self._rules = rules
        self._rng = rng
        self._memory: dict[str, str] = {}

    def expand(self, phrase: str) -> str:
        """Replace every choice, rule and digit mark in the phrase."""
        while _CHOICE.search(phrase):
            phrase = _CHOICE.sub(self._choose, phrase, count=1)
        phrase = _RULE.sub(lambda match: self._rule(match[1]), phrase)
        return re.sub("~", lambda _: self._rng.choice("123456789"), phrase)

    def _choose(self, match: re.Match[str]) -> str:
        options: list[str] = match[1].split("|")
        return self._rng.choice(options)

    def _rule(self, name: str) -> str:
        if name in self._memory:
            return self._memory[name]
        text = self.expand(self._rng.choice(self._rules[name]))
        if name in REMEMBERED:
            self._memory[name] = text
        return text


class MessageGrammar:
    """Composes raw messages for a class from intents and shared sentence plans."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        """Load ``shared.txt`` and ``intents.txt`` from the folder."""
        self._shared = load_rules(folder / "shared.txt")
        self._rng = rng
        self._intents: dict[str, list[Intent]] = {label: [] for label in LABELS}
        for intent in load_intents(folder / "intents.txt"):
            self._intents[intent.label].append(intent)

    def compose(self, label: str) -> str:
        """Return one message of the class, before casing and tone are applied."""
        intent = self._rng.choice(self._intents[label])
        rules = self._shared | intent.rules
        rules["told"] = intent.rules.get("say", []) + intent.rules.get("wish", [])
        rules.setdefault("say", rules["told"])
        rules["aside"] = self._asides(label)
        return Expander(rules, self._rng).expand(self._rng.choice(rules["plan"]))

    @staticmethod
    def _asides(label: str) -> list[str]:
        """Asides mention other classes' business, never that of the message."""
        others = [f"{{aside_{other}}}" for other in LABELS if other != label]
        return ["{aside_any}", *others * 2]


@dataclass(frozen=True)
class Row:
    """One labelled message."""

    id: str
    text: str
    label: str


def normalise(text: str) -> str:
    """Return the text case-folded, without punctuation, with single spaces."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())


def ngrams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Yield the runs of ``size`` consecutive words."""
    for start in range(len(words) - size + 1):
        yield tuple(words[start : start + size])


def tidy(raw: str) -> str:
    """Repair spacing, doubled end marks and the articles of an expanded message."""
    text = " ".join(raw.split())
    text = re.sub(r"([?!])[.,](?=\s|$)", r"\1", text)
    text = re.sub(r"\s+([,.?])", r"\1", text)
    return re.sub(r"\b([Aa]) (?=[aeiou])(?!uni|use|one)", r"\1n ", text)


def capitalise(text: str) -> str:
    """Start every sentence with a capital letter."""
    return re.sub(r"(^|[.?!] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def apply_tone(text: str, rng: random.Random) -> str:
    """Give a tidy message the casing, contractions and end mark of one writer."""
    if rng.random() < 0.25:
        for pattern, replacement in SPELLED_OUT:
            text = re.sub(pattern, replacement, text)
    elif rng.random() < 0.06:
        text = text.replace("'", "")
    if rng.random() < 0.82:
        text = capitalise(text)
    elif rng.random() < 0.3:
        text = re.sub(r"\bI\b", "i", text)
    if rng.random() < 0.2:
        return text.removesuffix(".")
    if rng.random() < 0.04 and text.endswith("."):
        return text.removesuffix(".") + "!"
    return text


class Collector:
    """Accepts messages that are distinct, well sized and no near-duplicates."""

    def __init__(self, rng: random.Random) -> None:
        """Start empty; ``rng`` thins out unusually short or long messages."""
        self._rng = rng
        self._seen: set[str] = set()
        self._sizes: list[int] = []
        self._index: dict[tuple[str, ...], list[int]] = defaultdict(list)

    def accept(self, text: str) -> bool:
        """Record the message and return True if it may join the data set."""
        key = normalise(text)
        words = key.split()
        if key in self._seen or not self._well_formed(words):
            return False
        grams = set(ngrams(words, OVERLAP_SIZE))
        if self._overlaps(grams):
            return False
        self._seen.add(key)
        for gram in grams:
            self._index[gram].append(len(self._sizes))
        self._sizes.append(len(grams))
        return True

    def _well_formed(self, words: list[str]) -> bool:
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            return False
        if BANNED_TOKENS.intersection(words):
            return False
        figures = [word for word in words if word.isdigit()]
        if len(set(figures)) < len(figures):
            return False
        return len(words) in USUAL_WORDS or self._rng.random() < UNUSUAL_LENGTH_SHARE

    def _overlaps(self, grams: set[tuple[str, ...]]) -> bool:
        shared = Counter(row for gram in grams for row in self._index.get(gram, ()))
        return any(count > MAX_OVERLAP * min(len(grams), self._sizes[row]) for row, count in shared.items())


def build_splits(seed: int) -> dict[str, list[Row]]:
    """Return the rows of every split for a seed."""
    rng = random.Random(seed)
    pools = _build_pools(rng)
    splits: dict[str, list[Row]] = {}
    for split, size in SPLIT_SIZES.items():
        share = size // len(LABELS)
        pairs = [(pools[name].pop(), name) for name in LABELS for _ in range(share)]
        rng.shuffle(pairs)
        splits[split] = [
            Row(f"{split}-{number:05d}", text, label) for number, (text, label) in enumerate(pairs)
        ]
    return splits


def _build_pools(rng: random.Random) -> dict[str, list[str]]:
    """Return enough accepted messages per class, in random order."""
    grammar = MessageGrammar(Path(__file__).parent, rng)
    collector = Collector(rng)
    pools: dict[str, list[str]] = {label: [] for label in LABELS}
    for _ in range(sum(SPLIT_SIZES.values()) // len(LABELS)):
        for label, pool in pools.items():
            pool.append(_next_message(grammar, collector, label, rng))
    for pool in pools.values():
        rng.shuffle(pool)
    return pools


def _next_message(grammar: MessageGrammar, collector: Collector, label: str, rng: random.Random) -> str:
    """Compose messages of the class until one is accepted."""
    while True:
        text = apply_tone(tidy(grammar.compose(label)), rng)
        if collector.accept(text):
            return text


def write_splits(splits: dict[str, list[Row]], folder: Path) -> None:
    """Write each split to ``<folder>/<split>.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        path = folder / f"{split}.jsonl"
        path.write_text("".join(lines), encoding="utf-8", newline="\n")


def pure_ngrams(rows: Iterable[Row]) -> list[tuple[str, int, str]]:
    """Return frequent n-grams that (almost) always occur with one label."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        words = normalise(row.text).split()
        for size in NGRAM_SIZES:
            for gram in ngrams(words, size):
                counts[gram][row.label] += 1
    found: list[tuple[str, int, str]] = []
    for gram, labels in counts.items():
        (label, most), total = labels.most_common(1)[0], labels.total()
        if total >= MIN_COUNT and most >= MIN_PURITY * total:
            found.append((" ".join(gram), total, label))
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def near_duplicate_share(train: Iterable[Row], test: Sequence[Row]) -> float:
    """Return the share of test rows whose 4-grams mostly occur in one train row."""
    train_grams = [_overlap_grams(row) for row in train]
    close = 0
    for row in test:
        grams = _overlap_grams(row)
        nearest = max(len(grams & other) for other in train_grams)
        close += nearest > NEAR_DUPLICATE * len(grams)
    return close / len(test)


def _overlap_grams(row: Row) -> set[tuple[str, ...]]:
    return set(ngrams(normalise(row.text).split(), OVERLAP_SIZE))


def describe(splits: dict[str, list[Row]]) -> str:
    """Return a readable summary of sizes, variety and purity."""
    train, test = splits["train"], splits["test"]
    lengths = sorted(len(normalise(row.text).split()) for row in train)
    median = lengths[len(lengths) // 2]
    vocabulary = {word for row in train for word in normalise(row.text).split()}
    pure = pure_ngrams(train)
    share = near_duplicate_share(train, test)
    lines = [f"{split}: {len(rows)} rows" for split, rows in splits.items()]
    lines += [
        f"words per message: {lengths[0]} to {lengths[-1]}, median {median}",
        f"vocabulary without numbers: {sum(word.isalpha() for word in vocabulary)}",
        f"test rows close to a train row: {share:.1%}",
        f"n-grams seen {MIN_COUNT}+ times with one label: {len(pure)}",
    ]
    lines += [f"  {count:4d}  {label:9s} {gram}" for gram, count, label in pure]
    return "\n".join(lines)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Write train.jsonl, trusted.jsonl and test.jsonl to a folder.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--stats", action="store_true", help="also print sizes, variety and purity")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = parse_arguments(argv)
    splits = build_splits(arguments.seed)
    write_splits(splits, arguments.out)
    if arguments.stats:
        sys.stdout.write(describe(splits) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
