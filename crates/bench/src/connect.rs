//! Connections to the database of a store: to work on it, and to read what others may be working on.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Result};

/// How long others may write before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// To read and write; the file is made where it is not there.
pub(crate) fn to_write(path: &Path) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(PATIENCE)?;
    log_ahead(&db)?;
    // What is done is on the disk before anything else is begun.
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

/// To read alone, also where neither the file nor its folder may be written.
pub(crate) fn to_read(path: &Path) -> Result<Connection> {
    let db = open(path, "mode=ro")?;
    let n_tables = "SELECT count(*) FROM sqlite_schema";
    let read = db.query_row(n_tables, [], |_| Ok(()));
    let is_closed = |error: &rusqlite::Error| {
        matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    };
    match read {
        // SQLite follows whoever writes through files beside the store, and would make them. Where that
        // is forbidden and none is there, nobody writes.
        Err(error) if is_closed(&error) && !beside(path, "-wal").exists() => {
            open(path, "immutable=1")
        }
        Err(error) => Err(error),
        Ok(()) => Ok(db),
    }
}

fn open(path: &Path, how: &str) -> Result<Connection> {
    // What a URI gives a meaning of its own.
    let path = path.display().to_string();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(format!("file:{path}?{how}"), flags)?;
    db.busy_timeout(PATIENCE)?;
    Ok(db)
}

/// What lies beside a store, under its name with an `ending`.
pub(crate) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Lets readers go on while another connection writes. Where several turn this on at once, SQLite
/// tells all but one of them to come back, and does not wait by itself.
fn log_ahead(db: &Connection) -> Result<()> {
    let start = Instant::now();
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_alone_sees_what_is_there_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100% a?b#c.sqlite");
        let writer = to_write(&path).unwrap();
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (7)").unwrap();
        let number = |db: &Connection| db.query_row("SELECT x FROM t", [], |row| row.get(0));
        let reader = to_read(&path).unwrap();
        assert_eq!(number(&reader), Ok(7));
        assert!(reader.execute("INSERT INTO t VALUES (8)", []).is_err());
        drop((reader, writer));
        let names = || folder.path().read_dir().unwrap().count();
        assert_eq!(names(), 1);
        let reader = open(&path, "immutable=1").unwrap();
        assert_eq!((number(&reader), names()), (Ok(7), 1));
        assert!(to_read(&folder.path().join("none")).is_err());
    }
}
