"""Back-translation: each input is translated into another language and back before the model is asked.

Source: the baseline of Qi et al., "Hidden Killer: Invisible Textual Backdoor Attacks with Syntactic Trigger", arXiv 2105.12400.
Translations are ready ones: no translation model is loaded. An input without one is answered as it is, and
counted, so that nobody takes a table of untranslated inputs for a result.

Needs the files; one request costs three queries: there, back, and the answer.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from p2p.errors import DataError, Location
from p2p.projection import Projection
from trainer.answering import UNGUARDED
from trainer.config import DataSource
from trainer.datasets import read_examples
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended

UNTRANSLATED = "answered_untranslated"
TRANSLATED = "answered_translated"


class AlignedFiles(BaseModel):
    """Two files with the same rows in the same order.

    Attributes:
        originals: The inputs as users write them.
        translations: The same inputs after back-translation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    originals: DataSource
    translations: DataSource


class BackTranslation(Defence):
    """The undefended adapter, asked with translated inputs.

    Attributes:
        files: Where translations are; a later file has the last word on a text that stands in several.
        known: Translations at hand beside the files, by the text they belong to.
    """

    name: ClassVar[str] = "back-translation"

    files: tuple[AlignedFiles, ...] = ()
    known: dict[str, str] = Field(default_factory=dict)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        translations = self._translations()
        fitted = fit_undefended(case, lab)
        answerer = lab.answerer(case, fitted)
        details: dict[str, float] = {"translations": len(translations), TRANSLATED: 0, UNTRANSLATED: 0}

        def answer(texts: Sequence[str]) -> list[Projection]:
            found = [translations.get(_spaced(text)) for text in texts]
            details[UNTRANSLATED] += found.count(None)
            details[TRANSLATED] += len(found) - found.count(None)
            asked = [ready or text for ready, text in zip(found, texts, strict=True)]
            return answerer.answer(asked, UNGUARDED)

        return Defended(answer, fitted, details, queries_per_request=3)

    def _translations(self) -> Mapping[str, str]:
        read = [pair for files in self.files for pair in read_aligned(files).items()]
        return {_spaced(text): translation for text, translation in (*read, *self.known.items())}


def read_aligned(files: AlignedFiles) -> dict[str, str]:
    """Return the translation of each text.

    Args:
        files: Both must have the same answers row by row, which shows that they are aligned.

    Raises:
        DataError: A file can't be read, or the two are not aligned.
    """
    originals, translations = read_examples(files.originals), read_examples(files.translations)
    where = files.translations.path
    if len(originals) != len(translations):
        raise DataError(
            f"has {len(translations)} rows, {files.originals.path} has {len(originals)}: they are not aligned",
            Location(where),
        )
    for number, (row, translation) in enumerate(zip(originals, translations, strict=True), start=1):
        if row.answer != translation.answer:
            raise DataError(
                f"has the answer {translation.answer!r}, the same row of {files.originals.path} has {row.answer!r}: "
                "they are not aligned",
                Location(where, number),
            )
    return {row.text: translation.text for row, translation in zip(originals, translations, strict=True)}


def _spaced(text: str) -> str:
    return " ".join(text.split())
