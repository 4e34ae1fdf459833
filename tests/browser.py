"""Controls a headless Chromium through its DevTools protocol, over two pipes and without a driver."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
FLAGS = (
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars',
    '--disable-background-networking', '--disable-component-update', '--remote-debugging-pipe',
)  # fmt: skip


def find_browser():
    """Returns the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def open_page(width=1280, height=900, dark=False, timeout=60):
    """Yields a `Page` of a new browser, which ends with the block. timeout: of each call, in seconds."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [find_browser(), *FLAGS, f'--user-data-dir={profile}', 'about:blank']
        script = f'exec "$@" 3<&{from_us} 4>&{to_us}'  # the browser reads from 3 and writes to 4
        process = subprocess.Popen(
            ['bash', '-c', script, 'bash', *command], pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL
        )
        os.close(from_us)
        os.close(to_us)
        try:
            page = Page(to_browser, from_browser, timeout)
            page.start(width, height, dark)
            yield page
        finally:
            os.close(to_browser)  # ends the browser
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(from_browser)


class Page:
    """A tab. problems: errors of its console, exceptions and failed loads. Calls raise AssertionError after the timeout."""

    def __init__(self, to_browser, from_browser, timeout):
        self.to_browser, self.from_browser, self.timeout = to_browser, from_browser, timeout
        self.last_id, self.session, self.received, self.events, self.problems = 0, None, b'', [], []

    def start(self, width, height, dark):
        """Opens the tab and enables the events that `problems` collects."""
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        self.call('Page.setLifecycleEventsEnabled', enabled=True)
        self.size(width, height)
        features = [{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]
        self.call('Emulation.setEmulatedMedia', features=features)

    def size(self, width, height, phone=False):
        """Sets the size of the window in pixels. phone: emulate a mobile device."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def open(self, url):
        """Opens a URL. Returns the seconds until the page has loaded."""
        self.events.clear()
        began = time.monotonic()
        loader = self.call('Page.navigate', url=url)['loaderId']
        while not any(_is_load(event, loader) for event in self.events):
            self._next_message(began + self.timeout)
        return time.monotonic() - began

    def run(self, script):
        """Returns the value of a JavaScript expression; awaits promises."""
        reply = self.call('Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in reply:
            raise AssertionError(f'{script}: {reply["exceptionDetails"]}')
        return reply['result'].get('value')

    def until(self, script):
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + self.timeout
        while not self.run(script):
            assert time.monotonic() < end, f'{script} is still not true'
            time.sleep(0.02)

    def key(self, name, code=None):
        """Presses and releases a key."""
        code = code or {'ArrowRight': 39, 'ArrowLeft': 37, 'Escape': 27, 'Tab': 9}[name]
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def drag(self, start, end):
        """Drags with the mouse from one point (x, y) of the window to another."""
        for kind, (x, y) in (('mousePressed', start), ('mouseMoved', end), ('mouseReleased', end)):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=1, clickCount=1)

    def touch(self, x, y):
        """Taps a point of the window."""
        self.call('Input.dispatchTouchEvent', type='touchStart', touchPoints=[{'x': x, 'y': y}])
        self.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])

    def screenshot(self, whole=False):
        """Returns a PNG of the window, or of the whole page."""
        content = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        return base64.b64decode(content['data'])

    def call(self, method, **parameters):
        """Calls a method of the DevTools protocol and returns its result."""
        self.last_id += 1
        message = {'id': self.last_id, 'method': method, 'params': parameters}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b'\0')
        end = time.monotonic() + self.timeout
        while True:
            answer = self._next_message(end)
            if answer.get('id') == self.last_id:
                if 'error' in answer:
                    raise AssertionError(f'{method}: {answer["error"]}')
                return answer['result']

    def _next_message(self, end):
        """Returns the next message and keeps it if it is an event. end: of the wait, in monotonic seconds."""
        while b'\0' not in self.received:
            ready, _, _ = select.select([self.from_browser], [], [], max(0, end - time.monotonic()))
            content = os.read(self.from_browser, 2**20) if ready else b''
            if not content:
                raise AssertionError('the browser does not answer')
            self.received += content
        content, self.received = self.received.split(b'\0', 1)
        message = json.loads(content)
        if 'method' in message:
            self.events.append(message)
            self.problems += _problems(message)
        return message


def _is_load(event, loader):
    parameters = event['params']
    return event['method'] == 'Page.lifecycleEvent' and (parameters['name'], parameters['loaderId']) == ('load', loader)


def _problems(event):
    """Returns the problems that an event reports."""
    parameters = event['params']
    if event['method'] == 'Runtime.exceptionThrown':
        return [str(parameters['exceptionDetails'])]
    if event['method'] == 'Log.entryAdded' and parameters['entry']['level'] in ('error', 'warning'):
        return [f'{parameters["entry"]["text"]} {parameters["entry"].get("url", "")}']
    if event['method'] == 'Runtime.consoleAPICalled' and parameters['type'] in ('error', 'warning', 'assert'):
        return [str(parameters['args'])]
    if event['method'] == 'Network.loadingFailed' and not parameters.get('canceled'):
        return [parameters['errorText']]
    return []
