"""The page of playbooks/status.yml in a real browser: what it shows, at two widths, in light and dark, and what it must not do.

Run by `make test-browser`. STATUS_SCREENSHOTS=FOLDER keeps a picture of each.
"""

import json
import os
import shutil

import fleet
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

WIDTHS = [375, 1280]
COLOURS = ["light", "dark"]
# What a person sees of each host: its name, where it stands, and its bars as (share of the track in percent, text beside it).
ROWS = """
return [...document.querySelectorAll("tbody")].map(body => ({
  host: body.querySelector(".name").textContent,
  state: body.className,
  told: body.querySelector(".state").textContent,
  top: body.getBoundingClientRect().top,
  notes: [...body.querySelectorAll("li")].map(li => li.textContent),
  cells: [...body.querySelectorAll("td[data-name]")].map(td => td.textContent.trim()),
  bars: [...body.querySelectorAll(".bar")].map(bar => [
    100 * bar.firstElementChild.getBoundingClientRect().width / bar.getBoundingClientRect().width,
    bar.parentElement.querySelector("b").textContent,
  ]),
}))
"""
# Elements that stick out of the window, or whose text sticks out of them.
OVERFLOW = """
const width = document.documentElement.clientWidth;
return [document.documentElement.scrollWidth > width ? ["page", document.documentElement.scrollWidth] : null,
  ...[...document.querySelectorAll("body *:not(thead, thead *)")].map(element => {
    const box = element.getBoundingClientRect();
    return box.right > width + 0.5 || box.left < -0.5 || element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0
      ? [element.outerHTML.slice(0, 120), box.left, box.right] : null;
  })].filter(Boolean)
"""
# The lowest contrast of text to the background behind it (WCAG 2, relative luminance).
CONTRAST = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = element => {
  const colour = parts(getComputedStyle(element).backgroundColor);
  return colour[3] === 0 ? behind(element.parentElement) : colour;
};
const states = ["critical", "unreachable", "failed", "warning", "ok"].map(state => document.querySelector("tbody." + state));
const text = "h1, p, label, caption, th, td, td b, .soft, .state, li";
const elements = [document.querySelector("header"), document.querySelector("form"), document.querySelector("thead"), ...states]
  .filter(Boolean).flatMap(part => [...part.querySelectorAll(text)]);
return Math.min(...elements.map(element => {
  const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}))
"""


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, headless, with its console and its network kept as logs."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(executable_path=shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["3 hosts", "1,000 hosts"])
def page(request, reported):
    """(the report as JSON, the address of the page) of a fleet."""
    report, _shown, _seconds, address = reported(request.param)
    assert len(report["hosts"]) == int(request.param.split()[0].replace(",", ""))
    return report, address


@pytest.fixture(scope="module", params=WIDTHS)
def rows(request, browser, page):
    """(the report as JSON, the rows as a person sees them) at one width."""
    report, address = page
    open_page(browser, address, request.param)
    return report, browser.execute_script(ROWS)


def open_page(browser, address, width=1280, colours="light"):
    """Open the page as on a screen of that width."""
    browser.get("about:blank")  # else the page that is open is laid out anew first
    for log in ("browser", "performance"):
        browser.get_log(log)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": colours}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)


def shown(number):
    """A figure's text as a number: 97.3 %, 304.00 MiB, 0."""
    amount, _, unit = number.partition(" ")
    return float(amount) * {"": 1, "%": 1, "Bytes": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}[unit]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colours", COLOURS)
def test_nothing_sticks_out_and_all_can_be_read(browser, page, width, colours):
    report, address = page
    open_page(browser, address, width, colours)
    if os.environ.get("STATUS_SCREENSHOTS"):
        name = "%d-%d-%s.png" % (len(report["hosts"]), width, colours)
        browser.save_screenshot(os.path.join(os.environ["STATUS_SCREENSHOTS"], name))
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script(OVERFLOW) == []
    assert browser.execute_script(CONTRAST) >= 4.5
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in background[4:-1].split(",")) < 384) == (colours == "dark")


def test_bars_and_texts_are_the_numbers(rows):
    report, seen = rows
    for host, row in zip(report["hosts"], seen):
        wanted = [host["data_percent"], host["metadata_percent"]]
        wanted += [100.0 * host["vg_free"] / host["vg_size"]] if host["vg_size"] else []
        wanted = [share for share in wanted if share is not None]
        assert len(row["bars"]) == len(wanted)
        for share, (width_of_bar, _text) in zip(wanted, row["bars"]):
            assert abs(share - width_of_bar) < 0.6, (host, row)  # half a pixel of a bar
        if host["data_percent"] is not None:
            texts = [shown(text) for _width, text in row["bars"]]
            assert texts[:2] == pytest.approx([host["data_percent"], host["metadata_percent"]], abs=0.051)
            assert texts[2] == pytest.approx(host["vg_free"], rel=0.001)
            assert row["cells"][3].split() == [
                str(host["growth_steps_left"]),
                "step" if host["growth_steps_left"] == 1 else "steps",
            ]
            assert row["cells"][4] == ("yes" if host["monitored"] else "no")


def test_hosts_stand_in_the_order_of_danger(rows):
    report, seen = rows
    order = ["critical", "unreachable", "failed", "warning", "ok"]
    fullest = [max(host["data_percent"] or 0, host["metadata_percent"] or 0) for host in report["hosts"]]
    standing = [(order.index(row["state"]), -full) for row, full in zip(seen, fullest)]
    assert standing == sorted(standing)
    assert [row["top"] for row in seen] == sorted(row["top"] for row in seen)
    assert [row["host"] for row in seen] == [host["host"] for host in report["hosts"]]
    words = {"critical": "in danger", "warning": "warning", "ok": "ok", "unreachable": "unreachable", "failed": "failed"}
    assert all(row["told"] == words[row["state"]] for row in seen)  # colour is never the only sign


def test_hosts_without_an_answer_are_shown_with_the_reason(rows):
    report, seen = rows
    silent = [row for row in seen if row["state"] in ("unreachable", "failed")]
    assert len(silent) == report["counts"]["unreachable"] + report["counts"]["failed"] > 0
    for row in silent:
        assert row["bars"] == []
        assert row["notes"] == [fleet.UNREACHABLE["msg"] if row["state"] == "unreachable" else fleet.REFUSED["msg"]]


def test_the_summary_counts_the_rows(browser, rows):
    _report, seen = rows
    summary = browser.find_element(By.CLASS_NAME, "summary").text
    assert summary.startswith("{:,} hosts: ".format(len(seen)))
    for state, words in (("critical", "in danger"), ("unreachable", "unreachable"), ("warning", "with a warning"), ("ok", "ok")):
        assert "%d %s" % (sum(row["state"] == state for row in seen), words) in summary.replace(",", "")


def test_one_state_can_be_chosen_alone(browser, page):
    report, address = page
    open_page(browser, address)
    hidden = "return [...document.querySelectorAll('tbody')].filter(one => !one.offsetHeight).map(one => one.className)"
    for chosen in [state for state, count in report["counts"].items() if count]:
        browser.find_element(By.ID, "show-" + chosen).click()
        gone = browser.execute_script(hidden)
        assert chosen not in gone
        assert len(gone) == len(report["hosts"]) - report["counts"][chosen]
    browser.find_element(By.ID, "show-all").click()
    assert browser.execute_script(hidden) == []


def test_what_hosts_say_is_text(browser, page):
    _report, address = page
    open_page(browser, address)
    assert "Thin pools:" in browser.title
    assert browser.execute_script("return document.querySelectorAll('script, img, tbody i, td [onerror]').length") == 0
    names = browser.execute_script("return [...document.querySelectorAll('.name')].map(name => name.textContent)")
    assert fleet.HOSTILE in names


def test_it_asks_nobody_and_complains_of_nothing(browser, page):
    _report, address = page
    open_page(browser, address)
    browser.execute_script("scrollTo(0, document.body.scrollHeight)")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {address}
    assert browser.get_log("browser") == []


def test_a_screen_reader_finds_a_table_on_a_phone_too(browser, reported):
    report, _shown, _seconds, address = reported("3 hosts")
    open_page(browser, address, 375)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert roles.count("table") == 1
    assert roles.count("rowheader") == len(report["hosts"])
    assert roles.count("columnheader") == 7
    answered = report["counts"]["critical"] + report["counts"]["ok"]
    assert roles.count("cell") == 6 * answered + sum(bool(host["warnings"]) for host in report["hosts"])
