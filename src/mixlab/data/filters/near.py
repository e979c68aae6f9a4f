"""Records nearly equal to an earlier one: MinHash and banding find candidates, their shingles decide.

Signatures come from rensa (https://github.com/beowolx/rensa), fed with hashes of our own. Band hashes and shingles
lie on disk and are worked on band after band: 10 million documents need about 0.4 GB of memory, and on disk 4 bytes a
shingle and 8 bytes a band. A cluster is what similar pairs connect; its first document stays.
"""

import logging
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixlab.config.filters import NearDuplicates
from mixlab.data.filters.exclusion import Exclusion, Numbered, Others, render_earlier
from mixlab.data.filters.shingles import ShingleFile, Shingles, count_common, shingle_long, shingle_texts
from mixlab.data.overlap.units import BLOCK_CHARACTERS, Positions, mix
from mixlab.data.records import texts_of

RECALL_AT_THRESHOLD = 0.99
"""Bands are chosen so that a pair just at the threshold is found with this probability."""
COMPARED_PER_GROUP = 16
"""Documents that share a band but are not similar: so many of a group are kept to compare later ones with."""
_LOG = logging.getLogger(__name__)
_LOG_EVERY_DOCUMENTS = 1 << 20


def choose_bands(threshold: Fraction, permutations: int) -> tuple[int, int]:
    """Choose (bands, rows): the most rows, hence the fewest false candidates, that reach the wanted recall."""
    for rows in range(permutations, 1, -1):
        bands = permutations // rows
        if 1 - (1 - float(threshold) ** rows) ** bands >= RECALL_AT_THRESHOLD:
            return bands, rows
    return permutations, 1


def find_near_duplicates(
    settings: NearDuplicates, records: Numbered, against: Others, scratch: Path
) -> Iterator[Exclusion]:
    """Yield the records that are no first of their cluster, or whose cluster reaches into another source; by ordinal.

    `similarity` is the Jaccard similarity with the cluster's first document; it lies below the threshold where only a
    chain of similar documents leads there.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    documents = _Documents(settings, scratch)
    starts = []
    for open_source in against:
        starts.append(documents.begin_source())
        for ordinal, record in enumerate(open_source()):
            documents.add(ordinal, texts_of(record))
    starts.append(documents.begin_source())
    for ordinal, record in records():
        documents.add(ordinal, texts_of(record))
    shingles = documents.finish()
    try:
        first_of = _find_clusters(settings, shingles, documents.band_paths)
        for document in range(starts[-1], len(shingles)):
            if (first := first_of[document]) != document:
                common, together = count_common(shingles.read(document), shingles.read(first))
                reason, details = render_earlier(np.array(starts, np.int64), first)
                similarity = {"similarity": round(common / together, 4)}
                yield Exclusion(document - starts[-1], f"near {reason}", {**details, **similarity})
    finally:
        shingles.close()


class _Documents:
    """Writes shingles and band hashes of documents to disk, block by block."""

    def __init__(self, settings: NearDuplicates, scratch: Path) -> None:
        self._settings = settings
        self._bands, self._rows = choose_bands(settings.threshold, settings.permutations)
        self._shingles = ShingleFile(scratch / "shingles.u32")
        self.band_paths = [scratch / f"band-{band:03}.u64" for band in range(self._bands)]
        for path in self.band_paths:
            path.write_bytes(b"")
        self._start = self._characters = 0
        self._waiting: list[list[str]] = []

    def begin_source(self) -> int:
        """Return the number of the next source's first document."""
        self._flush()
        self._start = len(self._shingles)
        return self._start

    def add(self, ordinal: int, texts: list[str]) -> None:
        """Add a document of the source begun last; ordinals that are left out count as empty."""
        missing = self._start + ordinal - len(self._shingles) - len(self._waiting)
        characters = sum(map(len, texts))
        self._waiting.extend([[]] * missing)
        if characters > 2 * BLOCK_CHARACTERS:
            self._flush()
            self._write(*shingle_long(self._settings, texts))
            return
        self._waiting.append(texts)
        self._characters += 1 + characters
        if self._characters >= BLOCK_CHARACTERS or len(self._waiting) >= 1 << 12:
            self._flush()

    def finish(self) -> ShingleFile:
        """Write what is waiting and return the shingles of all documents."""
        self._flush()
        return self._shingles

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._write(*shingle_texts(self._settings, self._waiting))
        self._waiting, self._characters = [], 0

    def _write(self, shingles: npt.NDArray[np.uint32], counts: Positions) -> None:
        self._shingles.append(shingles, counts)
        signatures = _sign(self._settings, shingles, counts)
        for band, path in enumerate(self.band_paths):
            hashes = _hash_rows(signatures[:, band * self._rows : (band + 1) * self._rows])
            hashes[counts == 0] = 0
            with path.open("ab") as file:
                file.write(hashes.astype("<u8").tobytes())
        before = len(self._shingles) - len(counts)
        if len(self._shingles) // _LOG_EVERY_DOCUMENTS > before // _LOG_EVERY_DOCUMENTS:
            _LOG.info("signed %d documents", len(self._shingles))


def _sign(settings: NearDuplicates, shingles: npt.NDArray[np.uint32], counts: Positions) -> npt.NDArray[np.uint32]:
    """Return MinHash signatures [documents, permutations]."""
    import rensa

    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    tokens = mix(shingles.astype(np.uint64) + np.uint64(1))
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(tokens, offsets, settings.permutations, settings.seed)
    return np.array(matrix.to_rows(), np.uint32).reshape(len(counts), settings.permutations)


def _hash_rows(rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Hash each row; never 0, which stands for a document without shingles."""
    hashes = np.full(len(rows), rows.shape[1], np.uint64)
    for column in range(rows.shape[1]):
        hashes = mix(hashes ^ rows[:, column])
    return np.maximum(hashes, np.uint64(1))


def _find_clusters(settings: NearDuplicates, shingles: ShingleFile, band_paths: list[Path]) -> "_Clusters":
    clusters = _Clusters(len(shingles))
    for number, path in enumerate(band_paths, 1):
        hashes = np.fromfile(path, "<u8")
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        borders = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1], [True]]))
        groups = np.flatnonzero((np.diff(borders) > 1) & (hashes[borders[:-1]] != 0)) if len(hashes) else borders[:0]
        for group in groups.tolist():
            _join_similar(settings.threshold, shingles, clusters, order[borders[group] : borders[group + 1]].tolist())
        path.unlink()
        _LOG.info("compared candidates of band %d of %d: %d groups", number, len(band_paths), len(groups))
    return clusters


def _join_similar(threshold: Fraction, shingles: ShingleFile, clusters: "_Clusters", group: list[int]) -> None:
    """Join the documents of a group that are similar to an earlier one of it; ascending."""
    kept: list[int] = []
    for document in group:
        own: Shingles | None = None
        for earlier in kept:
            if clusters[document] == clusters[earlier]:
                break
            sizes = sorted((shingles.size(document), shingles.size(earlier)))
            if sizes[0] * threshold.denominator < threshold.numerator * sizes[1]:
                continue  # even if all of the smaller lay in the larger
            own = shingles.read(document) if own is None else own
            common, together = count_common(own, shingles.read(earlier))
            if common * threshold.denominator >= threshold.numerator * together:
                clusters.join(document, earlier)
                break
        else:
            if len(kept) < COMPARED_PER_GROUP:
                kept.append(document)


class _Clusters:
    """Union and find over document numbers; a cluster is named by its smallest."""

    def __init__(self, documents: int) -> None:
        self._parent = array("q", range(documents))

    def __getitem__(self, document: int) -> int:
        parent = self._parent
        while parent[document] != document:
            parent[document] = parent[parent[document]]
            document = parent[document]
        return document

    def join(self, one: int, other: int) -> None:
        """Put two clusters together."""
        first, second = sorted((self[one], self[other]))
        self._parent[second] = first
