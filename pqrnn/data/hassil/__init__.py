"""Home Assistant's sentences as training data: those of its package `home-assistant-intents`, and a user's own.

A specification ``hassil:SOURCE`` names what is read:

- a language (``hassil:de``): the sentences of the installed package;
- a file or folder of YAML in the form of ``custom_sentences`` (``hassil:custom_sentences/de``);
- several of them with ``+`` between (``hassil:de+custom_sentences/de``): one data set of all.

Templates become those of `pqrnn.data.grammar`, which draws, splits and counts: alternatives, optional parts,
permutations, rules (also those of one block), lists, ranges in digits and in words. A list value becomes a slot.

- Slots that no word fills (``slots: {domain: light}``) are part of the intent's label: ``HassTurnOn(domain=light)``.
- ``requires_context`` means text where it is about a name: only names of such a domain are drawn. What it says of the
  area that a satellite stands in means nothing for a text.
- Areas, floors and names are those of the YAML files; where these have none, of the home in ``homes/``. So are the
  texts of wildcards, as list ``any``, unless there is a list of the wildcard's name with values.
- Half of the sentences carry a word that Home Assistant skips (``skip_words``), as its own matching allows.
- A tenth of the rows is ``none``: what people say that is no command, and commands that are forbidden, from the
  built-in set; without those that the sentences cover.
"""

from pqrnn.data.hassil.loading import DEFAULT_SIZES, load_hassil, load_hassil_examples

__all__ = ["DEFAULT_SIZES", "load_hassil", "load_hassil_examples"]
