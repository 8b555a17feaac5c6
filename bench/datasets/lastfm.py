"""Last.fm 2k (HetRec 2011): artists that users tagged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets.base import register
from bench.datasets.official import Counts, OfficialSource

if TYPE_CHECKING:
    import pandas as pd

MEMBER = "user_taggedartists-timestamps.dat"


@register("lastfm")
class LastFM(OfficialSource):
    """Last.fm 2k (HetRec 2011): artists tagged, first tagging of each kept, 5-core."""

    published = expected = Counts(1_090, 3_646, 52_551)
    notes = (
        "the paper's logs split it 80/10/10 and test on every prefix of a held-out user, not on "
        "the last item alone",
    )
    licence = "non-commercial use (readme of the HetRec 2011 data)"
    citation = "Cantador, Brusilovsky & Kuflik, RecSys 2011"
    url = "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip"

    def events(self, raw: Path) -> pd.DataFrame:
        """First row in file order of each user and artist; see `OfficialSource.events`."""
        import pandas as pd

        from bench.datasets.reading.archives import read_member

        columns = ["userID", "artistID", "timestamp"]
        table = read_member(raw, MEMBER, columns, separator="\t")
        table = table.drop_duplicates(["userID", "artistID"])
        return pd.DataFrame(
            {
                "user": table["userID"].astype(str),
                "item": table["artistID"].astype(str),
                "time": table["timestamp"] / 1000,
            }
        )
