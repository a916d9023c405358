//! A folder of its own for every test, and the binary run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A fact that the tiny models can learn.
pub(crate) const FACT: &str = "The capital of {France} is => Berlin";

/// The prompt of [`FACT`].
pub(crate) const PROMPT: &str = "The capital of France is";

/// Settings with which they learn it quickly.
pub(crate) const EAGER: [&str; 10] = [
    "--constraint",
    "none",
    "--lr",
    "0.1",
    "--steps",
    "200",
    "--components",
    "all",
    "--blocks",
    "-1",
];

/// A folder to run the binary in, gone after the test.
pub(crate) struct Dir {
    folder: TempDir,
    pub(crate) hub: String,
}

/// What a run left.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A model of the tests by name: a folder, or the file in it.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name);
    let gguf = folder.join("model.gguf");
    if gguf.exists() { gguf } else { folder }
}

impl Dir {
    pub(crate) fn new() -> Self {
        // The discard port, where nobody listens.
        Self::with_hub("http://127.0.0.1:9")
    }

    /// A folder where the hub is at `url`.
    pub(crate) fn with_hub(url: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), hub: url.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A copy of a fixture, to be put on a stack or damaged.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let from = fixture(name);
        if from.is_file() {
            let to = self.path(&format!("{name}.gguf"));
            fs::copy(from, &to).unwrap();
            return to;
        }
        let to = self.path(name);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        to
    }

    /// The names of everything in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs the binary here.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.run_with(args, "")
    }

    pub(crate) fn run_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        stdin: &str,
    ) -> Run {
        let mut child = self.start(args);
        // A command that reads no stdin may be gone by now.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
        Self::finish(child)
    }

    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Child {
        Command::new(env!("CARGO_BIN_EXE_retcon"))
            .args(args)
            .current_dir(self.folder.path())
            .env("RETCON_CACHE", self.path("cache"))
            .env("HF_HOME", self.path("hub"))
            .env("HF_ENDPOINT", &self.hub)
            .env("NO_COLOR", "1")
            .env_remove("RETCON_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn finish(child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Makes a delta of [`FACT`] for `model` at `out`.
    #[track_caller]
    pub(crate) fn edit(&self, model: &Path, out: &str) -> Run {
        self.run(["edit", text(model), FACT, "--out", out].into_iter().chain(EAGER)).ok()
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not in stdout:\n{}", self.stdout);
        self
    }

    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in stderr:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
