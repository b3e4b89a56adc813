"""A real headless Chromium that sends no request to other machines."""

import json
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS_MAX = 45
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class Browser:
    """Does with a page what a person does, and reads what a person sees."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for flag in (*FLAGS, f"--user-data-dir={self.profile.name}"):
            options.add_argument(flag)
        # Certificates of tests have no known authority.
        options.accept_insecure_certs = True
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(SECONDS_MAX)

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def open(self, url):
        """Loads a page until it has drawn something; retries if the machine's network changes."""

        def drawn():
            try:
                # A change of only the fragment would not load the page again.
                self.driver.get("about:blank")
                self.driver.get(url)
            except WebDriverException as error:
                if "net::ERR" not in error.msg:
                    raise
                return False
            script = "return performance.getEntriesByType('resource').length > 0 && document.querySelector('main') !== null"
            return self.run(script)

        self.until(f"{url} to be drawn", drawn)

    def leave(self):
        """Leaves the page, and clears its log of requests."""
        self.driver.get("about:blank")
        self.complaints()
        self.requested()

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, what, look):
        """Waits until `look` returns a true value, and returns it."""

        def seen(_):
            try:
                return look()
            except StaleElementReferenceException:
                return False

        wait = WebDriverWait(self.driver, SECONDS_MAX, poll_frequency=0.05)
        text = self.run("return document.body?.innerText ?? ''")
        return wait.until(seen, f"{what}; there is: {text[:2000]}")

    def find(self, selector):
        """The first matching element, once there is one."""
        return self.until(selector, lambda: self.all(selector))[0]

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until_text(self, selector, expected):
        return self.until(f"{expected!r} in {selector}", lambda: expected in self.text(selector))

    def fill(self, selector, value):
        field = self.find(selector)
        field.clear()
        field.send_keys(value)

    def press(self, selector):
        self.find(selector).click()

    def width(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, name):
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def complaints(self):
        """The errors that the browser logged, except for unreachable servers."""
        lines = [entry["message"] for entry in self.driver.get_log("browser")]
        return [line for line in lines if "Failed to load resource" not in line]

    def requested(self):
        """The addresses of all requests since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [one["params"] for one in entries if one["method"] == "Network.requestWillBeSent"]
        # The browser has internal pages, such as that of a new tab.
        addresses = [one["request"]["url"] for one in sent]
        return [one for one in addresses if not one.startswith(("chrome", "about:", "data:"))]
