//! Every answer as CSV: a line a question, row, case, seed and number of edits.

use std::io::{self, Write};

use super::record::{Record, records};
use crate::results::Results;

/// Writes every answer of `results`, with a line of names first; fields are quoted where they have
/// to be (RFC 4180), lines end in `\n`, and what is not known is empty.
///
/// # Errors
/// What writing to `to` reports.
pub fn csv(results: &Results, to: &mut dyn Write) -> io::Result<()> {
    let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(to);
    writer.write_record(columns())?;
    for record in records(results) {
        writer.serialize(record)?;
    }
    writer.flush()
}

/// The names of the columns, which are there without a record too.
fn columns() -> Vec<String> {
    let record = serde_json::to_value(Record::default());
    let record = record.expect("a record is names with plain values");
    record.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn text(results: &Results) -> String {
        let mut bytes = Vec::new();
        csv(results, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_all_of_an_answer() {
        let text = text(&sample::results());
        let lines: Vec<&str> = text.lines().take(2).collect();
        assert_eq!(
            lines[0],
            "row,method,setting,seed,n_edits,case,group,question,axis,prompt,wanted,other,\
             nll_wanted_before,nll_wanted_after,nll_other_before,nll_other_after,\
             tf_match_before,tf_match_after,same_token,says_before,says_after,as_wanted,error"
        );
        assert_eq!(
            lines[1],
            "0,unedited,sequential 1 x 20,7,20,a<b,P36,0,rewrite,The capital of France is,\
             Berlin,Paris,4.25,4.25,0.5,0.5,0.0,0.0,1.0, Paris., Paris.,false,"
        );
    }

    #[test]
    fn what_a_reader_gets_back_is_what_was_said() {
        let results = sample::results();
        let text = text(&results);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let says: Vec<String> =
            reader.records().map(|record| record.unwrap()[20].to_owned()).collect();
        assert!(says.iter().any(|said| said == sample::NASTY), "{says:?}");
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn no_results_are_a_line_of_names() {
        assert_eq!(text(&sample::empty()).lines().count(), 1);
    }
}
