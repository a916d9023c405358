//! A browser under test: the few commands of WebDriver that are needed, over a plain socket.
//!
//! WebDriver (W3C 2018) is HTTP with JSON; both ends are on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What a browser may take to show what it was asked for; a page of 15,000 answers takes a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser without a window, and the driver that it hangs on; both end with it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    // What the browser keeps; gone with it.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser of a width and a height, by chromedriver at `driver`.
    pub(crate) fn open(driver: &Path, [width, height]: [u32; 2]) -> Self {
        let mut driver = Command::new(driver)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let folder = browser._profile.path().display();
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--hide-scrollbars",
            format!("--user-data-dir={folder}"),
            format!("--window-size={width},{height}"),
        ]);
        let wanted = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let answer =
            browser.http("POST", "/session", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session = answer["sessionId"].as_str().unwrap().to_owned();
        // A window can't be as narrow as a phone; what a page is shown in can.
        browser.command(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
            }),
        );
        browser
    }

    /// A command of the browser's own protocol.
    pub(crate) fn command(&self, name: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": name, "params": params}))
    }

    /// Opens an address, and waits until the page has shown itself.
    pub(crate) fn go(&self, url: &str) {
        // The same file with another fragment would not be loaded again.
        self.post("/url", &json!({"url": "about:blank"}));
        self.post("/url", &json!({"url": url}));
        self.wait("return document.documentElement.dataset.ready !== undefined");
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script returns, as text.
    pub(crate) fn text(&self, script: &str) -> String {
        let value = self.run(script);
        value.as_str().unwrap_or_else(|| panic!("{script}: {value}")).to_owned()
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub(crate) fn wait(&self, script: &str) {
        let end = Instant::now() + PATIENCE;
        while self.run(script) != Value::Bool(true) {
            assert!(Instant::now() < end, "never came true: {script}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The element of a selector, by its reference.
    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let (_, reference) = found.as_object().unwrap().iter().next().unwrap();
        reference.as_str().unwrap().to_owned()
    }

    /// Presses an element, as a pointer does: what lies under another is not pressed.
    pub(crate) fn click(&self, selector: &str) {
        let into_sight = format!(
            "document.querySelector({}).scrollIntoView({{block: 'center'}})",
            json!(selector)
        );
        self.run(&into_sight);
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/value"), &json!({"text": text}));
    }

    /// Chooses an option of a select by what it says, as people do.
    pub(crate) fn choose(&self, selector: &str, option: &str) {
        let script = format!(
            "const node = document.querySelector({});
             const at = [...node.options].findIndex((option) => option.text === {});
             if (at < 0) return false;
             node.selectedIndex = at;
             node.dispatchEvent(new Event('change', {{bubbles: true}}));
             return true;",
            json!(selector),
            json!(option)
        );
        assert_eq!(self.run(&script), Value::Bool(true), "{selector} has no option {option}");
    }

    /// What the page has written to its console, the worst of it.
    pub(crate) fn errors(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().unwrap().iter();
        let bad = entries.filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.http("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// One request, and the `value` of its answer.
    fn http(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut answer = exchange(self.port, method, path, body).unwrap();
        let value = answer["value"].take();
        assert!(value.get("error").is_none_or(Value::is_null), "{path}: {value}");
        value
    }
}

/// A request of HTTP and its answer, both JSON.
fn exchange(port: u16, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(3 * PATIENCE))?;
    let body = body.to_string();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// The port that the driver says it listens at.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find(|line| line.contains("started successfully"));
    let said = said.expect("chromedriver says where it listens");
    said.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also where a test has failed: a driver that is killed leaves its browser behind.
        let session = format!("/session/{}", self.session);
        let _closed = exchange(self.port, "DELETE", &session, &json!({}));
        let _gone = self.driver.kill();
        let _ended = self.driver.wait();
    }
}
