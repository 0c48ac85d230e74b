"""Claims of the standard hypotheses, by their ids."""

from __future__ import annotations

CLAIMS = {
    "H1a": "acquisition beyond need falls as feedback gets denser",
    "H1b": "with really dense feedback there is none beyond need",
    "H1c": "with dense feedback some remains, but only near the task",
    "H2": "longer horizons breed it, density held fixed",
    "H3a": "a bounded game gives little incentive for it",
    "H3b": "without a door nothing leaves the board; with one it does",
    "H3c": "what leaves grows with skill and contact",
    "H4a": "acquisition outside the task appears only once power itself is paid for",
    "H4b": "weak forms are everywhere, disempowering others nowhere without further incentives",
    "H5": "sparse, long-horizon training needs overwhelmingly more of it",
    "H6": "data steers: an imitation prior lowers excess after reinforcement learning",
    "H7": "constraining long-term power-taking helps capability",
}
"""Meaning of a hypothesis by its id."""
SHORT_ID = 24
"""Letters of an id that are shown in a cell of a table, or in a tag."""
