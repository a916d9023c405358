//! Every answer as Parquet: the columns of the CSV, with types, compressed.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::Result;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::Type;

use super::record::{Record, records};
use crate::results::{About, Results};

/// Records of a row group: what a reader holds at once.
const GROUP: usize = 1 << 16;

/// What a column is of.
enum Of {
    Count(fn(&Record<'_>) -> Option<u64>),
    Number(fn(&Record<'_>) -> Option<f64>),
    Truth(fn(&Record<'_>) -> Option<bool>),
    Text(for<'a> fn(&Record<'a>) -> Option<&'a str>),
}

/// The columns, as [`Record`] has them.
const COLUMNS: [(&str, Of); 23] = [
    ("row", Of::Count(|r| Some(r.row as u64))),
    ("method", Of::Text(|r| Some(r.method))),
    ("setting", Of::Text(|r| Some(r.setting))),
    ("seed", Of::Count(|r| Some(r.seed))),
    ("n_edits", Of::Count(|r| Some(r.n_edits as u64))),
    ("case", Of::Text(|r| Some(r.case))),
    ("group", Of::Text(|r| Some(r.group))),
    ("question", Of::Count(|r| r.question.map(|question| question as u64))),
    ("axis", Of::Text(|r| Some(r.axis))),
    ("prompt", Of::Text(|r| Some(r.prompt))),
    ("wanted", Of::Text(|r| Some(r.wanted))),
    ("other", Of::Text(|r| Some(r.other))),
    ("nll_wanted_before", Of::Number(|r| r.nll_wanted_before)),
    ("nll_wanted_after", Of::Number(|r| r.nll_wanted_after)),
    ("nll_other_before", Of::Number(|r| r.nll_other_before)),
    ("nll_other_after", Of::Number(|r| r.nll_other_after)),
    ("tf_match_before", Of::Number(|r| r.tf_match_before)),
    ("tf_match_after", Of::Number(|r| r.tf_match_after)),
    ("same_token", Of::Number(|r| r.same_token)),
    ("says_before", Of::Text(|r| r.says_before)),
    ("says_after", Of::Text(|r| r.says_after)),
    ("as_wanted", Of::Truth(|r| r.as_wanted)),
    ("error", Of::Text(|r| r.error)),
];

/// Writes every answer of `results`; what is not known is null. The model, the data and the version
/// are in the file's own metadata.
///
/// # Errors
/// What writing to `to` reports.
pub fn parquet(results: &Results, to: &mut dyn Write) -> io::Result<()> {
    // The writer wants to be sent between threads, which `to` can't be; a file of 100,000 answers
    // is some MB.
    to.write_all(&bytes(results).map_err(io::Error::other)?)
}

fn bytes(results: &Results) -> Result<Vec<u8>> {
    let mut writer = SerializedFileWriter::new(
        Vec::new(),
        Arc::new(schema()?),
        Arc::new(properties(&results.about)),
    )?;
    let mut records = records(results).peekable();
    while records.peek().is_some() {
        let group: Vec<Record<'_>> = records.by_ref().take(GROUP).collect();
        let mut row_group = writer.next_row_group()?;
        for (_, of) in &COLUMNS {
            let column = row_group.next_column()?.expect("the schema is made of COLUMNS");
            write_column(column, of, &group)?;
        }
        row_group.close()?;
    }
    writer.into_inner()
}

fn properties(about: &About) -> WriterProperties {
    let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let about = vec![
        pair("retcon.model", &about.model),
        pair("retcon.fingerprint", &about.fingerprint),
        pair("retcon.data", &about.data),
        pair("retcon.version", &about.version),
    ];
    WriterProperties::builder()
        .set_compression(Compression::GZIP(Default::default()))
        .set_created_by("retcon".to_owned())
        .set_key_value_metadata(Some(about))
        .build()
}

fn schema() -> Result<Type> {
    let field = |(name, of): &(&str, Of)| {
        let (physical, logical) = match of {
            Of::Count(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Of::Number(_) => (Physical::DOUBLE, None),
            Of::Truth(_) => (Physical::BOOLEAN, None),
            Of::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let fields = COLUMNS.iter().map(field).collect::<Result<Vec<_>>>()?;
    Type::group_type_builder("answers").with_fields(fields).build()
}

fn write_column(
    mut column: SerializedColumnWriter<'_>,
    of: &Of,
    group: &[Record<'_>],
) -> Result<()> {
    match of {
        // The logical type says that these 64 bits have no sign.
        Of::Count(of) => put::<Int64Type>(&mut column, group.iter().map(|r| Some(of(r)? as i64))),
        Of::Number(of) => put::<DoubleType>(&mut column, group.iter().map(of)),
        Of::Truth(of) => put::<BoolType>(&mut column, group.iter().map(of)),
        Of::Text(of) => {
            put::<ByteArrayType>(&mut column, group.iter().map(|r| of(r).map(ByteArray::from)))
        }
    }?;
    column.close()
}

/// Writes values, and for each whether it is there.
fn put<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut there, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    #[test]
    fn columns_are_those_of_the_csv_with_the_same_values() {
        let results = sample::results();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.parquet");
        std::fs::write(&path, bytes(&results).unwrap()).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
        let records: Vec<Record<'_>> = records(&results).collect();
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            let record = serde_json::to_value(record).unwrap();
            let columns = row.get_column_iter().zip(record.as_object().unwrap());
            for ((name, field), (key, value)) in columns {
                assert_eq!(name, key);
                let found = match field {
                    Field::Null => Value::Null,
                    Field::ULong(n) => Value::from(*n),
                    Field::Double(x) => Value::from(*x),
                    Field::Bool(truth) => Value::from(*truth),
                    Field::Str(text) => Value::from(text.clone()),
                    other => panic!("{name}: {other}"),
                };
                assert_eq!(&found, value, "{name}");
            }
        }
    }

    #[test]
    fn no_results_are_a_file_without_rows() {
        let bytes = bytes(&sample::empty()).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
}
