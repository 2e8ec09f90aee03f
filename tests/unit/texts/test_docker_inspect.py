"""What images have at least, from their sizes and the digests of their layers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.texts.docker_inspect import least_bytes


def image(layers, size):
    return {"Id": "sha256:" + layers, "Size": size, "RootFS": {"Type": "layers", "Layers": list(layers)}}


SITUATIONS = {
    "none": ([], 0),
    "one": ([("ab", 5)], 5),
    "two-of-one-base-that-is-an-image": ([("a", 10), ("ab", 12), ("ac", 13)], 15),
    "two-of-one-base-that-is-none": ([("ab", 12), ("ac", 13)], 13),
    "two-of-a-base-above-one-that-is-an-image": ([("a", 10), ("abc", 12), ("abd", 13)], 13),
    "nothing-in-common": ([("a", 10), ("bc", 12)], 22),
    "the-same-layer-on-another-base-is-another": ([("ax", 10), ("bx", 12)], 22),
    "the-same-layers-under-two-ids": ([("ab", 5), ("ab", 5)], 5),
    "a-chain": ([("a", 1), ("ab", 3), ("abc", 6), ("abcd", 10)], 10),
    "no-layers-told": ([("", 7), ("", 9), ("a", 1)], 1),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_shared_layers_are_counted_once(situation):
    given_images, least = SITUATIONS[situation]
    assert least_bytes([image(*one) for one in given_images]) == least


def test_what_does_not_tell_its_layers_is_not_counted():
    assert least_bytes([{"Id": "sha256:1", "VirtualSize": 3}, {"Id": "sha256:2", "Size": 4, "RootFS": {"Layers": 1}}]) == 0


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=6), st.data())
def test_it_is_never_more_than_what_the_layers_have(chains, data):
    """A layer is itself with all below it, as in Docker: the same files on another base are another layer."""
    layers = {chain[:end] for chain in chains for end in range(1, len(chain) + 1)}
    size = {layer: data.draw(st.integers(0, 9)) for layer in sorted(layers)}
    sizes = [(chain, sum(size[chain[:end]] for end in range(1, len(chain) + 1))) for chain in chains]
    least = least_bytes(itertools.starmap(image, sizes))
    assert max([bytes for _chain, bytes in sizes] or [0]) <= least <= sum(size.values())
