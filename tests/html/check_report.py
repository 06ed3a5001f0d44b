#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a report in headless Chromium and uses it. Exit status 0: all is well; 1: not; 77: no browser.

usage: check_report.py [--kind KIND] [--scratch DIR] [--pictures DIR] PAGE.html DOCUMENT.json
"""

import argparse
import json
import pathlib
import sys
import tempfile

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

SIZES = [(360, 740), (1280, 800), (1920, 1080)]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--hide-scrollbars"]

# Canvases on which nothing is drawn. A chart is drawn when its size is known, a moment after layout.
BLANK = """
const [selector, done] = arguments;
requestAnimationFrame(() => requestAnimationFrame(() => done([...document.querySelectorAll(selector)]
  .filter((canvas) => {
    if (canvas.width === 0 || canvas.height === 0) return true;
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const pixels = new Uint32Array(data.buffer);
    return pixels.every((pixel) => pixel === 0);
  }).map((canvas) => canvas.id || canvas.parentElement.textContent))));
"""
# Elements that reach beyond the right edge, unless a box around them scrolls.
TOO_WIDE = """
const width = document.documentElement.clientWidth;
const scrolls = (node) => node.closest('.scroll, nav, .unseen, .skip') !== null;
const wide = [...document.querySelectorAll('body *')].filter((node) =>
  !scrolls(node) && node.getBoundingClientRect().right > width + 1).map((node) =>
  node.tagName + '.' + node.className + '#' + node.id);
if (document.documentElement.scrollWidth > width) wide.unshift('page ' + document.documentElement.scrollWidth);
return wide.slice(0, 5);
"""
PIXELS = "return document.getElementById(arguments[0]).toDataURL()"


class Checker:
    def __init__(self, driver, document, pictures):
        self.driver = driver
        self.document = document
        self.pictures = pictures
        self.failures = []

    def expect(self, condition, message):
        if not condition:
            self.failures.append(message)
            print("failed:", message)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        node = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
        node.click()

    def open_numbers(self, canvas):
        """Opens the table of a chart, which is filled a moment later."""
        self.click(f"#{canvas}-figure details summary")
        WebDriverWait(self.driver, 20).until(lambda _: self.all(f"#{canvas}-figure details tbody"))

    def pixels(self, canvas):
        return self.driver.execute_script(PIXELS, canvas)

    def no_complaints(self, when):
        # The advice about reading pixels is for this script, not for the page.
        log = [entry["message"] for entry in self.driver.get_log("browser")
               if "willReadFrequently" not in entry["message"]]
        self.expect(not log, f"{when}: the console says {log[:3]}")
        hacked = self.driver.execute_script("return window.hacked ?? null")
        self.expect(hacked is None, f"{when}: a name from the document ran as a script")

    def drawn(self, when, selector="canvas"):
        blank = self.driver.execute_async_script(BLANK, selector)
        self.expect(not blank, f"{when}: blank canvases {blank}")

    def picture(self, name, element=None):
        if self.pictures is None:
            return
        self.driver.execute_script("window.scrollTo(0, 0)")
        if element is not None:
            self.find(element).screenshot(str(self.pictures / f"{name}.png"))
            return
        metrics = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": metrics["width"], "height": metrics["height"], "scale": 1}})
        import base64
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}]})

    # What every page must stand.

    def layouts(self, kind):
        for width, height in SIZES:
            self.resize(width, height)
            for scheme in ("light", "dark"):
                self.scheme(scheme)
                self.drawn(f"{width}x{height} {scheme}")
                wide = self.driver.execute_script(TOO_WIDE)
                self.expect(not wide, f"{width}x{height} {scheme}: too wide: {wide}")
                self.picture(f"{kind}-{width}-{scheme}")
        self.resize(1280, 800)
        canvases = [node.get_attribute("id") for node in self.all(".plot canvas")]
        dark = {canvas: self.pixels(canvas) for canvas in canvases}
        dark_page = self.find("body").value_of_css_property("background-color")
        self.scheme("light")
        self.drawn("light again")
        for canvas in canvases:
            self.expect(self.pixels(canvas) != dark[canvas], f"{canvas} looks the same in the dark")
        self.expect(self.find("body").value_of_css_property("background-color") != dark_page,
                    "the page looks the same in the dark")

    def prints(self, kind):
        import base64
        pdf = base64.b64decode(self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
        self.expect(pdf.startswith(b"%PDF-") and len(pdf) > 10_000, "printing gives no document")
        if self.pictures is not None:
            (self.pictures / f"{kind}.pdf").write_bytes(pdf)
        self.drawn("after printing")

    def saves(self):
        saved = self.driver.execute_async_script(
            "const done = arguments[0];"
            "const data = document.getElementById('gnomon-document').textContent;"
            "done([document.getElementById('download').href.split(':')[0], data])")
        self.expect(saved[0] == "blob", "the download is not a blob")
        self.expect(json.loads(saved[1]) == self.document, "the page's JSON differs from the document")

    # The controls of a comparison.

    def number(self, selector):
        return self.find(selector).text.split("\n")[0].replace(",", "")

    def counters_agree(self, document, rows_of_zeros=False):
        cells = {(cell[0], cell[1]): cell[2] for cell in self.driver.execute_script(
            "return [...document.querySelectorAll('#table-counters td[data-counter]')]"
            ".map((td) => [td.dataset.counter, td.dataset.backend, td.textContent])")}
        for backend in document["backends"]:
            for name, value in backend["counters"].items():
                shown = cells.get((name, backend["spec"]))
                if shown is None:
                    zero = all(b["counters"].get(name, 0) == 0 for b in document["backends"])
                    self.expect(zero and not rows_of_zeros, f"counter {name} is not shown")
                else:
                    absent = shown == "–" and not value
                    self.expect(absent or shown.replace(",", "") == str(value),
                                f"{backend['spec']} {name}: {shown}, not {value}")
        self.expect(len(cells) > 0, "no counters are shown")

    def table_controls(self):
        rows = lambda: [row.text for row in self.all("#table-counters tbody tr th")]
        before = rows()
        self.click("#table-counters-zeros")
        self.expect(len(rows()) > len(before), "rows of zeros do not appear")
        self.counters_agree(self.document, rows_of_zeros=True)
        self.click("#table-counters-zeros")
        self.expect(rows() == before, "rows of zeros do not go away again")

        header = "#table-counters thead th:nth-child(4)"
        column = lambda: [int(cell.text.replace(",", "").replace("–", "0"))
                          for cell in self.all("#table-counters tbody td:nth-child(4)")]
        self.click(f"{header} button")
        self.expect(column() == sorted(column(), reverse=True), "the column does not sort downwards")
        self.expect(self.find(header).get_attribute("aria-sort") == "descending", "aria-sort is wrong")
        self.find(f"{header} button").send_keys(Keys.ENTER)
        self.expect(column() == sorted(column()), "the column does not sort upwards by keyboard")
        self.click(f"{header} button")
        self.expect(rows() == before, "the third click does not restore the order")

        search = self.find("#table-counters-filter")
        search.send_keys("walk shadow")
        self.expect(rows() and all("walk_shadow" in row for row in rows()), f"filter: {rows()}")
        self.expect(" of " in self.find("#table-counters-count").text, "no count of filtered rows")
        search.send_keys(Keys.CONTROL, "a")
        search.send_keys(Keys.DELETE)
        self.expect(rows() == before, "clearing the filter does not restore the rows")

        if self.document.get("counter_info"):
            described = "#table-counters .description"
            self.expect(not self.find(described).is_displayed(), "descriptions are shown unasked")
            self.click("#table-counters-descriptions")
            self.expect(self.find(described).is_displayed(), "descriptions do not appear")
            self.click("#table-counters-descriptions")

        Select(self.find("#table-counters-mode")).select_by_value("rate")
        references = sum(self.document["references"].values())
        backend = self.document["backends"][1]
        shown = self.number(f"td[data-counter=tlb_misses][data-backend='{backend['spec']}']")
        rate = backend["counters"]["tlb_misses"] * 1e6 / references
        self.expect(abs(float(shown) - rate) <= 0.5 + rate * 1e-3, f"rate {shown}, not {rate}")
        Select(self.find("#table-counters-mode")).select_by_value("exact")

    def changes(self, canvas, action, what):
        before = self.pixels(canvas)
        action()
        self.drawn(what, f"#{canvas}")
        self.expect(self.pixels(canvas) != before, f"{what} changes nothing")

    def chart_controls(self):
        self.changes("plot-exits", lambda: self.click("#exits-log"), "exits, linear")
        self.changes("plot-exits", lambda: self.click("#exits-log"), "exits, logarithmic")
        self.changes("plot-break-even", lambda: self.click("#break-even-log"), "break-even, logarithmic")
        self.changes("plot-break-even", lambda: self.find("#factor").send_keys(Keys.ARROW_RIGHT * 40), "the factor")
        self.expect(self.find("#factor-value").text == "2.51×", f"factor {self.find('#factor-value').text}")
        self.ranking_agrees(2.51)
        if self.document.get("series"):
            names = self.document["series"]["names"]
            for k, name in enumerate(names[:3]):
                self.changes("plot-series", lambda k=k: Select(self.find("#series-name")).select_by_value(str(k)), name)
            self.changes("plot-series", lambda: self.click("#series-cumulative"), "added up")
            self.changes("plot-series", lambda: self.click("#series-log"), "series, logarithmic")
            self.series_agree(2)
        self.changes("plot-cost", lambda: self.click("#plot-cost-figure .legend button"), "leaving a part out")
        button = self.find("#plot-cost-figure .legend button")
        self.expect(button.get_attribute("aria-pressed") == "false", "aria-pressed is wrong")
        button.send_keys(Keys.SPACE)
        self.changes("plot-cost", lambda: self.find("#plot-cost").send_keys(Keys.ARROW_DOWN), "an arrow key")
        said = self.find("#announcer").get_attribute("textContent")
        self.expect(self.document["backends"][0]["spec"] in said, f"the arrow key says '{said}'")

    def ranking_agrees(self, factor):
        references = sum(self.document["references"].values())
        costs = {b["spec"]: (b["cost"]["total"] + (factor - 1) * b["cost"]["exits"]) / references
                 for b in self.document["backends"]}
        expected = sorted(costs, key=costs.get)
        shown = [row.text.split(":") for row in self.all("#ranking li")]
        self.expect([row[0] for row in shown] == expected, f"ranking {shown}, not {expected}")
        for spec, rest in shown:
            cycles = float(rest.split()[0].replace(",", ""))
            self.expect(abs(cycles / costs[spec] - 1) < 1e-3, f"{spec}: {cycles}, not {costs[spec]}")

    def series_agree(self, column):
        """The table of the chart, which now shows sums so far."""
        self.open_numbers("plot-series")
        rows = self.all("#plot-series-figure details tbody tr")
        lines = self.document["series"]["backends"]
        self.expect(len(rows) == max(len(line["points"]) for line in lines), f"{len(rows)} rows of points")
        shown = [cell.text.replace(",", "") for cell in rows[-1].find_elements(By.TAG_NAME, "td")]
        expected = [str(sum(point[column] for point in line["points"])) for line in lines]
        self.expect(shown == expected, f"series: {shown}, not {expected}")
        self.click("#plot-series-figure details summary")

    def crossings_agree(self):
        text = self.find("#crossings").text
        for pair in self.document.get("break_even", []):
            named = [line for line in text.split("\n") if pair["a"] in line and pair["b"] in line]
            self.expect(named, f"no crossing of {pair['a']} and {pair['b']}")
            if named and pair["factor"] is not None:
                self.expect(f"{pair['factor']:.4g}×" in named[0] or f"{pair['factor']:,.4g}" in named[0],
                            f"{named[0]} does not name {pair['factor']}")

    def costs_agree(self):
        """The numbers below the first chart: every part and the total of each backend."""
        self.open_numbers("plot-cost")
        rows = {row.find_element(By.TAG_NAME, "th").text: [c.text for c in row.find_elements(By.TAG_NAME, "td")]
                for row in self.all("#plot-cost-figure details tbody tr")}
        references = sum(self.document["references"].values())
        for i, backend in enumerate(self.document["backends"]):
            parts = {name.replace("_", " "): value for name, value in backend["cost"]["groups"].items()}
            parts["together"] = backend["cost"]["total"]
            for name, value in parts.items():
                if name in rows:
                    shown = float(rows[name][i].replace(",", ""))
                    self.expect(abs(shown - value / references) <= 1e-3 * value / references,
                                f"{backend['spec']} {name}: {shown}, not {value / references}")
        self.expect("together" in rows and len(rows) >= 5, f"parts: {list(rows)}")
        self.click("#plot-cost-figure details summary")

    def traces_agree(self):
        """Each trace with its records and events, as the program names them in its document."""
        rows = self.driver.execute_script(
            "return [...document.querySelectorAll('table')].filter((t) => t.caption?.textContent === 'Traces')"
            ".flatMap((t) => [...t.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.textContent)))")
        self.expect(len(rows) == len(self.document["traces"]), f"traces: {rows}")
        for row, trace in zip(rows, self.document["traces"]):
            for key in ("records", "events"):
                self.expect(f"{trace[key]:,}" in row, f"{key} of {trace['name']} are not in {row}")

    def comparison(self):
        self.counters_agree(self.document)
        self.traces_agree()
        self.costs_agree()
        self.crossings_agree()
        self.table_controls()
        self.chart_controls()

    def sweep(self):
        self.counters_agree(self.document["points"][0]["result"])
        Select(self.find("#point")).select_by_index(4)
        self.drawn("another point")
        self.counters_agree(self.document["points"][4]["result"])
        self.changes("plot-sweep", lambda: Select(self.find("#sweep-measure")).select_by_value("exits"), "measure")
        self.changes("plot-sweep", lambda: self.click("#sweep-log"), "sweep, logarithmic")
        Select(self.find("#sweep-measure")).select_by_value("counter:tlb_misses")
        self.open_numbers("plot-sweep")
        rows = [[cell.text.replace(",", "") for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
                for row in self.all("#plot-sweep-figure details tbody tr")]
        expected = [[point["values"]["slice"]] + [str(b["counters"]["tlb_misses"]) for b in point["result"]["backends"]]
                    for point in self.document["points"] if point["values"]["host_page"] == "4K"]
        self.expect(rows == expected, f"sweep: {rows}, not {expected}")
        Select(self.find("#sweep-key")).select_by_value("host_page")
        rows = self.all("#plot-sweep-figure details tbody tr")
        self.expect([row.find_element(By.TAG_NAME, "th").text for row in rows] == ["4K", "2M"], "sweep over host_page")


def start(scratch):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS + [f"--user-data-dir={scratch}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", default="comparison",
                        choices=["comparison", "smallest", "hostile", "sweep", "empty", "malformed"])
    parser.add_argument("--scratch")
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("document", type=pathlib.Path)
    arguments = parser.parse_args()
    document = json.loads(arguments.document.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=arguments.scratch, ignore_cleanup_errors=True) as scratch:
        try:
            driver = start(scratch)
        except WebDriverException as error:
            print("the browser does not start:", error.msg.strip().split("\n")[0])
            return 77
        try:
            checker = Checker(driver, document, arguments.pictures)
            checker.resize(1280, 800)
            driver.get(arguments.page.resolve().as_uri())
            checker.no_complaints("opened")
            checker.drawn("opened")
            checker.saves()
            if arguments.kind == "comparison":
                checker.comparison()
            elif arguments.kind == "smallest":
                checker.counters_agree(document)
                checker.costs_agree()
            elif arguments.kind == "sweep":
                checker.sweep()
            checker.layouts(arguments.kind)
            checker.prints(arguments.kind)
            checker.no_complaints("in the end")
        finally:
            driver.quit()
    print(f"{len(checker.failures)} failures")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
