"""Extents: the article's figures, the worst case of autoextend, and what must hold for all sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.model import geometry
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.spec import Pool, Size

POOL = Pool(devices=("/dev/sdb",))


def sized(data, metadata="1%VG"):
    return POOL._replace(data_size=Size(int(data[:-3]), None, data), metadata_size=Size(int(metadata[:-3]), None, metadata))


def test_the_articles_disk():
    total = geometry.usable_extents(30 * geometry.GIB)
    layout = geometry.planned_layout(sized("95%VG"), total, geometry.EXTENT)
    assert (total, layout.data, layout.metadata, layout.free) == (7679, 7295, 76, 232)
    assert geometry.format_size(layout.metadata * geometry.EXTENT) == "304.00m"
    assert geometry.growth_steps(layout, 80, 20) == 0


@pytest.mark.parametrize(
    ("data", "threshold", "percent", "steps"),
    [("75%VG", 80, 20, 1), ("78%VG", 80, 20, 1), ("79%VG", 80, 20, 0), ("95%VG", 80, 3, 0), ("40%VG", 80, 20, 4)],
)
def test_growth_steps(data, threshold, percent, steps):
    layout = geometry.planned_layout(sized(data), 7679, geometry.EXTENT)
    assert geometry.growth_steps(layout, threshold, percent) == steps


def test_the_worst_case_is_a_full_pool():
    # Measured: 1400 extents found at 100 % asked for 350, at 80 and 20 percent.
    assert geometry.growth_need(1400, 80, 20) == 350
    assert geometry.growth_need(1400, 50, 20) == 1400
    assert geometry.growth_need(1400, 100, 20) is None
    assert geometry.growth_need(1400, 0, 20) is None


def test_metadata_is_capped_and_has_a_minimum():
    assert geometry.metadata_extents(Size(1, None, "1%VG"), 10**6, geometry.EXTENT) * geometry.EXTENT <= geometry.METADATA_MAX
    assert geometry.metadata_extents(Size(1, None, "1%VG"), 20, geometry.EXTENT) == 1
    with pytest.raises(Refused, match=r"15\.81 GiB"):
        geometry.planned_layout(POOL._replace(metadata_size=Size(None, 16 * geometry.GIB, "16G")), 10**6, geometry.EXTENT)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512K", 524288),
        ("1.5G", 1610612736),
        ("10GiB", 10737418240),
        ("95", None),
        ("-1G", None),
        ("1G ", None),
        ("", None),
    ],
)
def test_parse_bytes(text, size):
    assert geometry.parse_bytes(text) == size


@given(
    total=st.integers(16, 10**8),
    data=st.integers(1, 100),
    metadata=st.integers(1, 30),
    taken=st.integers(0, 10**8),
    threshold=st.integers(50, 100),
    percent=st.integers(1, 100),
)
def test_a_layout_never_promises_more_than_there_is(total, data, metadata, taken, threshold, percent):
    pool = sized("%d%%VG" % data, "%d%%VG" % metadata)._replace(autoextend_threshold=threshold, autoextend_percent=percent)
    try:
        layout = geometry.planned_layout(pool, total, geometry.EXTENT, taken)
    except Refused:
        return
    assert layout.data + 2 * layout.metadata + layout.free + taken == total
    assert layout.free >= 0
    steps = geometry.growth_steps(layout, threshold, percent)
    if threshold == 100:
        assert steps is None
    elif steps:
        assert geometry.growth_need(layout.data, threshold, percent) <= layout.free
    assert bool(geometry.autoextend_warning(layout, pool)) == (steps == 0)
