//! What people see of the results of a benchmark: tables and Markdown.
//!
//! All of them are functions of the results alone, so a report can be made again from what was kept.

mod format;
mod markdown;
mod names;
mod protocol;
#[cfg(test)]
mod sample;
mod table;

pub use self::format::{number, p_value};
pub use self::markdown::markdown;
pub use self::protocol::{Parts, Protocol};
pub use self::table::{Cell, Column, Line, Table, Which, tables};
