//! Models of the hub, from a small server of our own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::dir::{Dir, fixture};

/// The repositories `tiny/FIXTURE` at this address, for as long as the test runs.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let range = head.iter().find_map(|line| {
        let range = line.to_lowercase().strip_prefix("range: bytes=")?.to_owned();
        let (from, to) = range.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()))
    });
    let (status, head, body) = match find(path) {
        None => ("404 Not Found", String::new(), Vec::new()),
        Some(body) => {
            let (from, to) = range.unwrap_or((0, None));
            let to = to.unwrap_or(body.len() - 1);
            let head = format!("Content-Range: bytes {from}-{to}/{}\r\n", body.len());
            ("206 Partial Content", head, body[from..=to].to_vec())
        }
    };
    let etag = path.replace('/', "-");
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}ETag: \"{etag}\"\r\nX-Repo-Commit: c0ffee\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// What is at a path of the hub: a list of files, or a file.
fn find(path: &str) -> Option<Vec<u8>> {
    let folder = |name: &str| {
        let path = fixture(name);
        if path.is_file() { path.parent().unwrap().to_owned() } else { path }
    };
    if let Some(rest) = path.strip_prefix("/api/models/tiny/") {
        let entries = fs::read_dir(folder(rest.split('/').next()?)).ok()?;
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let siblings: Vec<_> = names.map(|n| serde_json::json!({"rfilename": n})).collect();
        let info = serde_json::json!({"sha": "c0ffee", "siblings": siblings});
        return Some(info.to_string().into_bytes());
    }
    let (name, file) = path.strip_prefix("/tiny/")?.split_once("/resolve/main/")?;
    fs::read(folder(name).join(file)).ok()
}

#[test]
fn a_folder_is_downloaded_once() {
    let mut dir = Dir::with_hub(&serve());
    let args = ["ask", "tiny/llama-tied", "x", "--tokens", "3"];
    let online = dir.run(args).ok().stdout;
    dir.hub = "http://127.0.0.1:9".to_owned();
    assert_eq!(dir.run(args).ok().stdout, online);
}

#[test]
fn a_gguf_file_is_downloaded_by_name() {
    let dir = Dir::with_hub(&serve());
    dir.run(["ask", "tiny/llama-gguf:model.gguf", "x", "--tokens", "3"]).ok();
    let run = dir.run(["ask", "tiny/llama-gguf", "x"]).exits(1);
    run.complains("tiny/llama-gguf has no config.json on the hub")
        .complains("tiny/llama-gguf:model.gguf");
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let dir = Dir::with_hub(&serve());
    let run = dir.run(["ask", "tiny/nothing", "x"]).exits(1);
    run.complains("cannot get tiny/nothing from the hub: there is no such repository or file");
}

#[test]
fn a_hub_that_is_out_of_reach_is_told() {
    let dir = Dir::new();
    for name in ["nobody/nothing", "nobody/nothing:x.gguf"] {
        let run = dir.run(["ask", name, "x"]).exits(1);
        let run = run.complains(&format!("cannot get {name} from the hub"));
        run.complains("hint: a model on this machine");
    }
}
