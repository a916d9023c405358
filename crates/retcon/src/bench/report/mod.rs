//! What people see of the results of a benchmark: tables and Markdown, and every answer as CSV and Parquet.
//!
//! All of them are functions of the results alone, so a report can be made again from what was kept.

mod csv;
mod format;
mod markdown;
mod names;
mod parquet;
mod protocol;
mod record;
#[cfg(test)]
mod sample;
mod table;

pub use self::csv::csv;
pub use self::format::{number, p_value};
pub use self::markdown::markdown;
pub use self::parquet::parquet;
pub use self::protocol::{Parts, Protocol};
pub use self::table::{Cell, Column, Line, Table, Which, tables};
