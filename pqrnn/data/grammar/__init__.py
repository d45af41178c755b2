r"""Sentence templates: write down what people say, get labelled examples.

A grammar is one TOML file (UTF-8). The smallest one that does something::

    locale = "en"

    [lists]
    area = ["kitchen", "living room", "bath[room]"]

    [intents]
    light_on = [
        "(turn|switch) on the {area} light[s]",
        "{area} light[s] on[, please]",
    ]

It makes ``switch on the living room lights`` with the intent ``light_on`` and the slot ``area`` = ``living room``.

Templates
---------
=====================  ===============================================================================================
``[text]``             An optional part. It may sit inside a word: ``light[s]``. ``[a|b]``: ``a``, ``b`` or nothing.
``(this|that)``        Alternatives: exactly one of them. Brackets nest.
``(this;that)``        All of them, in any order, with spaces between.
``{name}``             A value of the list ``name``; it becomes the slot ``name``.
``{name:slot}``        A value of the list ``name``; it becomes the slot ``slot``. So one slot can have several lists: a
                       gender, a case, a short form.
``<name>``             The rule ``name``: a piece of template with a name. Slots in a rule are slots of the sentence.
``\``                  The next character is meant as such. In TOML, write such templates in 'single quotes'.
=====================  ===============================================================================================

White space collapses to one space and is stripped at both ends; nothing is written between two parts that have no
space between them in the template (Thai, ``l'{area}``, ``{n}%``). A no-break space stays. A piece of template that
begins with punctuation attaches to what precedes it, so ``lights [{area}][?]`` never makes ``lights ?``; for a space
before a question mark, as in French, write both together: ``[ ?]``.

Sections
--------
``locale``: the language, as ``"en"`` or ``"en-GB"``; may be left out.

``[lists]``: ``name = [value, ...]``. A value is a template (a list used inside a value is part of that value, not a
slot of its own), or a range of whole numbers::

    brightness = ["half", "full", { from = 5, to = 100, step = 5, template = ["{n} percent", "{n}[ ]%"] }]

with ``from`` and ``to`` (included), ``step``, ``template`` (one or several; ``{n}`` is the number), ``pad`` (fewest
digits: ``pad = 2`` writes ``05``) and ``digits`` (ten characters to write with, such as ``"०१२३४५६७८९"``).

``[rules]``: ``name = "template"`` or ``name = ["template", ...]``.

``[intents]``: ``name = ["sentence template", ...]``.

``[kinds]``, if texts of slots are to be read as numbers or times: ``slot = "percent"``, one of the kinds of
:mod:`runtime_py.values.readings`; ``--values FILE`` of ``pqrnn parse`` takes them from here.

Any entry may be written ``{ text = "...", weight = 3 }`` (a range: ``weight = 3`` among its keys), to be drawn three
times as often as its neighbours. A list, a rule and the intents must not lead back to themselves, and neither a
sentence nor a list value may come out empty.

Drawing
-------
First a sentence template, each as likely as its weight whatever the number of sentences in it; then, at each fork,
an alternative or a list value, equally likely or by weight; an optional part is there half of the time. So a list of
a thousand songs does not crowd out the ten ways to ask for silence. :meth:`Grammar.count` says exactly how many
sentences there are, :meth:`Grammar.sample` draws different ones, :meth:`Grammar.expand` lists them all.
"""

from pqrnn.data.grammar.errors import GrammarError
from pqrnn.data.grammar.generator import FEWEST_TO_SPLIT, Grammar, Sentence
from pqrnn.data.grammar.loading import DEFAULT_SIZES, load_examples_from_grammar
from pqrnn.data.grammar.reader import load_grammar, parse_grammar
from pqrnn.data.grammar.splits import SPLITS, SplitName, Splits, split_examples, split_of

__all__ = [
    "DEFAULT_SIZES",
    "FEWEST_TO_SPLIT",
    "SPLITS",
    "Grammar",
    "GrammarError",
    "Sentence",
    "SplitName",
    "Splits",
    "load_examples_from_grammar",
    "load_grammar",
    "parse_grammar",
    "split_examples",
    "split_of",
]
