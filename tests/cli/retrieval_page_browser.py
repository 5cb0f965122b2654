"""Clicks through the page of `cstp retrieve --html` in a real browser, headless.

usage: retrieval_page_browser.py PROGRAM      (exits with 77, and says why, where there is no browser to drive)
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

kSkipped = 77
try:
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError as error:
    print(f"skipped: {error}; scripts/install_dependencies.sh --tests installs it")
    sys.exit(kSkipped)

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not BROWSER or not DRIVER:
    print("skipped: chromium and chromedriver were not found; scripts/install_dependencies.sh --tests installs them on Debian")
    sys.exit(kSkipped)

PROGRAM = os.path.abspath(sys.argv.pop(1))
HOSTILE = b"a # & ( ) ! ; [ ] % \" ' <img src=x onerror=alert(1)>.mp4"
BYTES = b"bytes \xff\xfe .mp4"


def run(*arguments):
    subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200)


def make_page(folder):
    """Four classes, 16 queries or so; two of them copies of gallery videos, one in its own class (a sure hit) and one in
    another (a sure miss)."""
    data = os.path.join(folder, "data")
    run("synth", "--output", data, "--set", "classes=4", "--set", "train_per_class=4", "--set", "test_per_class=3",
        "--set", "frames=50", "--set", "width=64", "--set", "height=48")
    gallery = os.path.join(data, "train", "drift", "0000.mp4")
    test = os.fsencode(os.path.join(data, "test"))
    shutil.copy(gallery, os.path.join(test, b"drift", HOSTILE))
    shutil.copy(gallery, os.path.join(test, b"orbit", BYTES))
    shutil.copy(os.path.join(data, "train", "spin", "0000.mp4"), os.path.join(data, "train", "drift", "<b>&amp;.mp4"))
    page = os.path.join(folder, "written", "page")
    tiny = ["data.root=" + data, "model.width=0.125", "clip.frames=4", "clip.size=32", "train.threads=1",
            "train.device=cpu", "loader.workers=2", "eval.clips=1", "eval.stride=2", "eval.topk=[1, 2, 5, 10]"]
    run("retrieve", "--config", "synthetic_quick.yaml", "--output", os.path.join(folder, "run"), "--html", page,
        "--html-queries", "0", "--html-neighbours", "4", *(part for value in tiny for part in ("--set", value)))
    moved = os.path.join(folder, "moved & shown", "page #1")  # a page is a folder that may be moved
    shutil.move(os.path.dirname(page), os.path.dirname(moved))
    os.rename(os.path.join(os.path.dirname(moved), "page"), moved)
    return moved


class RetrievalPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="cstp_browser_")
        cls.page = make_page(cls.folder)
        cls.data = cls.read_data()
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                         "--disable-background-networking", "--user-data-dir=" + os.path.join(cls.folder, "profile")]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        shutil.rmtree(cls.folder, ignore_errors=True)

    # --- tools --------------------------------------------------------------------------------------------------------

    @classmethod
    def read_data(cls):
        with open(os.path.join(cls.page, "index.html"), encoding="utf-8") as file:
            return json.loads(re.search(r'id="data">(.*?)</script>', file.read(), re.S).group(1))

    def setUp(self):
        self.quiet = True  # the console must stay empty
        self.screen(1300, 900)
        self.media()
        self.browser.get("about:blank")
        self.browser.get_log("performance")  # the browser's own first tab is not ours
        self.open()

    def tearDown(self):
        lines = self.browser.get_log("browser")
        if self.quiet:
            self.assertEqual(lines, [])
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.assertRegex(message["params"]["request"]["url"], "^(file|data|about):")

    def open(self, hash="", page=None):
        self.browser.get("about:blank")
        path = os.path.join(page or self.page, "index.html")
        self.browser.get("file://" + path.replace("%", "%25").replace("#", "%23").replace(" ", "%20") + hash)

    def screen(self, width, height):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def media(self, **features):
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})

    def find(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def wait(self, condition, what):
        WebDriverWait(self.browser, 20).until(lambda _: condition(), what)

    def names(self):
        return [element.text for element in self.find(".card h3")]

    def status(self):
        return self.one("#status").text

    def video(self, card):
        return self.data["videos"][card["video"]]

    def cards_where(self, condition):
        return [card for card in self.data["cards"] if condition(card)]

    # --- tests --------------------------------------------------------------------------------------------------------

    def test_summary_says_what_was_measured(self):
        tiles = {tile.find_element(By.CSS_SELECTOR, ".what").text: tile.text for tile in self.find(".tile")}
        self.assertEqual(list(tiles), ["R@1", "R@2", "R@5", "R@10", "mAP"])
        self.assertIn(f"{100 * self.data['recall'][0]['value']:.1f} %", tiles["R@1"])
        self.assertIn(f"chance {100 * self.data['recall'][0]['chance']:.1f} %", tiles["R@1"])
        self.assertIn(f"{100 * self.data['map']:.1f} %", tiles["mAP"])
        self.assertEqual(self.one("#weights").text, "untrained")
        facts = self.one("#facts").text
        self.assertIn("14 of 14 decoded", facts)
        self.assertIn("17 of 17 decoded", facts)
        self.assertIn("Seed", facts)

    def test_each_query_stands_beside_its_neighbours(self):
        self.assertEqual(len(self.find(".card")), 12)
        for card, element in zip(self.data["cards"], self.find(".card")):
            self.assertEqual(element.find_element(By.CSS_SELECTOR, "h3").text.split(), self.video(card)["name"].split())
            items = element.find_elements(By.CSS_SELECTOR, ".near li")
            self.assertEqual(len(items), 4)
            for rank, (item, (index, cosine)) in enumerate(zip(items, card["near"]), 1):
                shown = self.data["videos"][index]
                hit = shown["class"] == self.video(card)["class"]
                self.assertEqual(item.find_element(By.CSS_SELECTOR, ".rank").text, str(rank))
                self.assertEqual(item.find_element(By.CSS_SELECTOR, ".mark").text, "✓ hit" if hit else "✕ miss")
                self.assertEqual(item.find_element(By.CSS_SELECTOR, ".class").text, self.data["classes"][shown["class"]])
                self.assertAlmostEqual(float(item.find_element(By.CSS_SELECTOR, ".score").text), cosine, 2)
                label = item.find_element(By.CSS_SELECTOR, "button.clip").get_attribute("aria-label")
                self.assertIn(f"neighbour {rank}, {'hit' if hit else 'miss'}", label)
        self.wait(lambda: self.script("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"), "stills")

    def test_hostile_names_are_text(self):
        self.one("#search").send_keys("onerror")
        self.assertEqual(self.names(), ["test/drift/" + HOSTILE.decode()])
        self.one("#search").clear()
        self.one("#search").send_keys("\\xff")
        self.assertEqual(self.names(), ["test/orbit/bytes \\xff\\xfe .mp4"])
        self.assertEqual(self.find("img[src=x]"), [])
        self.assertEqual(self.find(".card b"), [])

    def test_class_filter_by_list_and_by_table(self):
        wanted = self.cards_where(lambda card: self.data["classes"][self.video(card)["class"]] == "orbit")
        Select(self.one("#class")).select_by_value("orbit")
        self.assertEqual(len(self.names()), len(wanted))
        self.assertTrue(all(name.startswith("test/orbit/") for name in self.names()))
        self.assertIn(f"{len(wanted)} of 14 queries", self.status())
        self.one("#reset").click()
        self.assertIn("14 queries", self.status())
        next(button for button in self.find("tbody th button") if button.text == "orbit").click()
        self.assertTrue(all(name.startswith("test/orbit/") for name in self.names()))
        self.assertEqual(self.one("tr.chosen th button").get_attribute("aria-pressed"), "true")
        self.one("tr.chosen th button").click()
        self.assertIn("14 queries", self.status())

    def test_hits_and_misses(self):
        hits = {self.video(card)["name"] for card in self.cards_where(lambda card: card["first"] == 1)}
        misses = {self.video(card)["name"] for card in self.cards_where(lambda card: card["first"] != 1)}
        self.assertIn("test/drift/" + HOSTILE.decode(), hits)
        self.assertTrue(any("bytes" in name for name in misses))
        for value, names, chip in [("hits", hits, "✓ hit at 1"), ("misses", misses, "✕ first hit at")]:
            self.script("arguments[0].click()", self.one(f"[name=show][value={value}]"))
            self.assertIn(f"{len(names)} of 14 queries", self.status())
            self.assertLessEqual({" ".join(name.split()) for name in self.names()}, {" ".join(name.split()) for name in names})
            self.assertTrue(all(element.text.startswith(chip) for element in self.find(".query .chip")))

    def test_search_for_nothing_says_so(self):
        self.one("#search").send_keys("no such file")
        self.assertEqual(self.names(), [])
        self.assertIn("No query", self.one(".empty").text)
        self.assertIn("0 of 14 queries", self.status())

    def test_table_sorts(self):
        column = lambda n: [row.find_elements(By.CSS_SELECTOR, "th, td")[n].text for row in self.find("tbody tr")]
        self.assertEqual([button.text for button in self.find("tbody th button")], self.data["classes"])
        self.one("[data-sort=r1]").click()
        values = [float(text) for text in column(2)]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertEqual(self.one("th[aria-sort]").get_attribute("aria-sort"), "descending")
        self.assertEqual(self.script("return document.activeElement.dataset.sort"), "r1")
        self.one("[data-sort=r1]").click()
        self.assertEqual([float(text) for text in column(2)], sorted(values))
        self.one("[data-sort=class]").click()
        self.one("[data-sort=class]").click()
        self.assertEqual([button.text for button in self.find("tbody th button")], sorted(self.data["classes"], reverse=True))
        row = self.data["rows"][0]
        by_class = {element.find_element(By.CSS_SELECTOR, "th button").text: element.text for element in self.find("tbody tr")}
        self.assertIn(str(row["queries"]), by_class[self.data["classes"][row["class"]]])
        self.assertIn(f"{100 * row['map']:.1f}", by_class[self.data["classes"][row["class"]]])

    def test_order_by_the_first_hit(self):
        Select(self.one("#order")).select_by_value("late")
        ranks = [card["first"] or 10**9 for card in self.data["cards"]]
        first = {self.video(card)["name"]: card["first"] or 10**9 for card in self.data["cards"]}
        shown = [first[name] for name in self.script("return [...document.querySelectorAll('.card h3')].map((e) => e.textContent)")]
        self.assertEqual(shown, sorted(ranks, reverse=True)[:12])

    def test_pages(self):
        before = self.names()
        self.assertIn("page 1 of 2", self.status())
        self.assertFalse(self.one("[aria-label='Previous page']").is_enabled())
        self.one("[aria-label='Next page']").click()
        self.assertEqual(len(self.names()), 2)
        self.assertEqual(set(self.names()) & set(before), set())
        self.assertEqual(self.one("[aria-current=page]").text, "2")
        self.one("[aria-label='Page 1']").click()
        self.assertEqual(self.names(), before)

    def test_a_clip_plays_under_the_pointer_muted_and_looped(self):
        clip = self.one(".near button.clip")
        self.assertEqual(self.find("video"), [])
        ActionChains(self.browser).move_to_element(clip).perform()
        self.wait(lambda: self.script("const v = document.querySelector('video'); return v && v.currentTime > 0.2"), "playing")
        self.assertEqual(self.script("const v = document.querySelector('video'); return [v.muted, v.loop, v.error]"), [True, True, None])
        then = self.script("return document.querySelector('video').currentTime")
        self.wait(lambda: self.script("return document.querySelector('video').currentTime") != then, "going on")
        self.assertIn("playing", clip.get_attribute("class"))
        ActionChains(self.browser).move_to_element(self.one("h1")).perform()
        self.assertEqual(self.find("video"), [])

    def test_a_click_keeps_a_clip_playing_and_another_stops_it(self):
        clip = self.one(".query button.clip")
        clip.click()
        ActionChains(self.browser).move_to_element(self.one("h1")).perform()
        self.assertEqual(clip.get_attribute("aria-pressed"), "true")
        self.wait(lambda: self.script("const v = document.querySelector('video'); return v && v.currentTime > 0"), "playing")
        clip.click()
        self.assertEqual(self.find("video"), [])

    def test_play_all_plays_what_is_in_sight_and_stops(self):
        self.one("#play").click()
        self.wait(lambda: self.script("const v = [...document.querySelectorAll('video')];"
                                      "return v.length >= 5 && v.every((x) => x.currentTime > 0)"), "playing")
        self.assertLess(len(self.find("video")), len(self.find("button.clip")))
        self.assertEqual(self.one("#play").get_attribute("aria-pressed"), "true")
        self.one("#play").click()
        self.assertEqual(self.find("video"), [])
        self.one(".row-play").click()
        self.assertEqual(len(self.find(".card:first-child video")), 5)

    def test_the_keyboard_reaches_and_plays_clips(self):
        self.script("document.querySelector('#pages').previousElementSibling.focus()")
        ActionChains(self.browser).send_keys(Keys.TAB).perform()
        self.assertTrue(self.script("return document.activeElement.matches('.query button.clip')"))
        self.wait(lambda: len(self.find("video")) == 1, "focus plays")
        self.assertNotEqual(self.script("return getComputedStyle(document.activeElement).outlineStyle"), "none")
        ActionChains(self.browser).send_keys(Keys.ENTER).send_keys(Keys.TAB).perform()
        self.assertEqual(self.one(".query button.clip").get_attribute("aria-pressed"), "true")
        self.assertGreaterEqual(len(self.find("video")), 1)

    def test_with_reduced_motion_nothing_moves_unasked(self):
        self.media(prefers_reduced_motion="reduce")
        clip = self.one(".near button.clip")
        ActionChains(self.browser).move_to_element(clip).pause(0.3).perform()
        self.assertEqual(self.find("video"), [])
        clip.click()
        self.wait(lambda: self.script("const v = document.querySelector('video'); return v && v.currentTime > 0"), "playing")

    def test_the_address_restores_the_view(self):
        Select(self.one("#class")).select_by_value("drift")
        self.script("arguments[0].click()", self.one("[name=show][value=misses]"))
        self.one("[data-sort=map]").click()
        self.one("#search").send_keys("0")
        seen = (self.names(), self.status(), [row.text for row in self.find("tbody tr")], self.browser.current_url)
        self.assertIn("class=drift", seen[3])
        self.browser.refresh()
        self.assertEqual((self.names(), self.status(), [row.text for row in self.find("tbody tr")], self.browser.current_url), seen)
        self.assertEqual(self.one("#search").get_attribute("value"), "0")
        self.assertTrue(self.one("[name=show][value=misses]").is_selected())
        self.browser.back()  # from the sorted table to the filter before it
        self.assertNotIn("sort=", self.browser.current_url)
        self.assertEqual(self.find("th[aria-sort]"), [])
        self.open("#page=2")
        self.assertIn("page 2 of 2", self.status())
        self.open("#page=999&class=none&show=%3Cb%3E&order=x")
        self.assertEqual(self.names(), [])

    def test_light_dark_and_narrow_fit_and_can_be_read(self):
        contrast = """
          const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
          const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
          const under = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } };
          return arguments[0].map((css) => { const e = document.querySelector(css); const a = light(getComputedStyle(e).color), b = light(under(e));
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });"""
        parts = ["h1", "#weights", ".tile .chance", "tbody th button", "tbody th small", ".hit .mark", ".miss .mark",
                 ".score", ".near .name", ".chip.miss", ".chip.hit", "#status", ".segments input:checked + span"]
        for scheme in ["light", "dark"]:
            self.media(prefers_color_scheme=scheme)
            for part, ratio in zip(parts, self.script(contrast, parts)):
                self.assertGreaterEqual(ratio, 4.5, f"{part} in {scheme}")
            for width in [360, 800, 1300, 1900]:
                self.screen(width, 800)
                self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), width, f"{width} in {scheme}")
        dark = self.script("return getComputedStyle(document.body).backgroundColor")
        self.media(prefers_color_scheme="light")
        self.assertNotEqual(self.script("return getComputedStyle(document.body).backgroundColor"), dark)

    def altered_page(self, change):
        """A copy whose data was changed."""
        copy = tempfile.mkdtemp(dir=self.folder)
        shutil.copytree(self.page, copy, dirs_exist_ok=True)
        data = json.loads(json.dumps(self.data))
        change(data)
        with open(os.path.join(copy, "index.html"), encoding="utf-8") as file:
            text = file.read()
        start, end = re.search(r'id="data">(.*?)</script>', text, re.S).span(1)
        with open(os.path.join(copy, "index.html"), "w", encoding="utf-8") as file:
            file.write(text[:start] + json.dumps(data).replace("<", "\\u003c") + text[end:])
        return copy

    def test_a_video_without_a_clip_is_a_named_placeholder(self):
        name = self.video(self.data["cards"][0])["name"]

        def lose(data):
            data["videos"][data["cards"][0]["video"]].update(clip=None, problem="no decodable frame")

        page = self.altered_page(lose)
        self.open(page=page)
        self.assertIn("no preview", self.one(".card:first-child .query .clip.none").text)
        self.assertEqual(self.one(".card:first-child .query .clip.none").get_attribute("title"), "no decodable frame")
        self.assertEqual(self.names()[0].split(), name.split())
        clip = self.data["videos"][self.data["cards"][0]["near"][0][0]]["clip"]
        os.remove(os.path.join(page, "media", clip + ".mp4"))
        self.quiet = False  # the browser reports the lost file
        self.one(".card:first-child .near button.clip").click()
        self.wait(lambda: self.find(".card:first-child .say"), "said")

    def test_unlabelled_queries_show_neighbours_without_judging_them(self):
        def forget(data):
            for video in data["videos"]:
                video["class"] = None
            for card in data["cards"]:
                card["first"] = 0
            for row in data["recall"]:
                row.update(value=None, chance=None)
            data.update(classes=[], rows=[], map=None)

        self.open(page=self.altered_page(forget))
        self.assertEqual(len(self.find(".card")), 12)
        self.assertEqual(self.find(".chip, .mark, .card .class"), [])
        for hidden in ["aside", "#class-field", "#outcome-field"]:
            self.assertFalse(self.one(hidden).is_displayed())
        self.assertIn("–", self.one(".tile .value").text)
        self.one("#search").send_keys("spin")
        self.assertTrue(all(name.startswith("test/spin/") for name in self.names()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
