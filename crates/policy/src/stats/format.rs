//! Rows as text: CSV, typed lines, JSON.

use std::fmt::{self, Write as _};

use super::{Cell, Column, Row, Tags, Value};

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Csv,
    /// A line per value: `S.3.1.7.stot.1:MCPP:u64:12`.
    Typed,
    Json,
}

/// Prints rows; `described` adds what each column means to CSV and typed lines.
pub fn stat<'a>(rows: impl Iterator<Item = Row<'a>>, format: Format, described: bool) -> String {
    let mut out = String::new();
    match format {
        Format::Csv => {
            csv_header(&mut out);
            rows.for_each(|row| csv_row(&row, &mut out));
        }
        Format::Typed => rows.for_each(|row| typed_row(&row, described, &mut out)),
        Format::Json => {
            out.push('[');
            for (index, row) in rows.enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json_row(&row, &mut out);
            }
            out.push_str("]\n");
        }
    }
    out
}

fn csv_header(out: &mut String) {
    out.push_str("# ");
    for column in Column::ALL {
        mark(*column, out);
        out.push_str(column.name());
        out.push(',');
    }
    out.push('\n');
}

fn csv_row(row: &Row<'_>, out: &mut String) {
    let mut cells = row.cells().iter().peekable();
    for column in Column::ALL {
        mark(*column, out);
        if let Some(cell) = cells.next_if(|cell| cell.column == *column) {
            csv_value(&cell.value, out);
        }
        out.push(',');
    }
    out.push('\n');
}

/// What stands before the columns of modules.
fn mark(column: Column, out: &mut String) {
    if column == Column::FIRST_OF_MODULES {
        out.push_str("-,");
    }
}

/// RFC 4180 section 2: what contains a comma, a quote or a line end stands in quotes.
fn csv_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) if text.contains([',', '"', '\n', '\r']) => {
            out.push('"');
            out.push_str(&text.replace('"', "\"\"").replace(['\n', '\r'], " "));
            out.push('"');
        }
        value => write(out, format_args!("{value}")),
    }
}

fn typed_row(row: &Row<'_>, described: bool, out: &mut String) {
    for Cell {
        column,
        tags,
        value,
    } in row.cells()
    {
        let (kind, position) = (row.kind.letter(), *column as usize);
        let (proxy, service, name) = (row.proxy, row.service, column.name());
        write(
            out,
            format_args!("{kind}.{proxy}.{service}.{position}.{name}.1:"),
        );
        typed_value(*tags, value, out);
        if described {
            write(out, format_args!(":\"{}\"", column.help()));
        }
        out.push('\n');
    }
}

/// The end of a typed line: tags, type and value.
pub(super) fn typed_value(tags: Tags, value: &Value<'_>, out: &mut String) {
    write(out, format_args!("{}:{}:", tags.letters(), value.kind()));
    match value {
        // A line end in a value would begin a line of its own.
        Value::Text(text) => out.push_str(&text.replace(['\n', '\r'], " ")),
        value => write(out, format_args!("{value}")),
    }
}

fn json_row(row: &Row<'_>, out: &mut String) {
    out.push('[');
    for (index, cell) in row.cells().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let (object, proxy, service) = (row.kind.name(), row.proxy, row.service);
        write(
            out,
            format_args!("{{\"objType\":\"{object}\",\"proxyId\":{proxy},\"id\":{service},"),
        );
        json_field(
            cell.column as usize,
            cell.column.name(),
            cell.tags,
            &cell.value,
            out,
        );
    }
    out.push(']');
}

/// The rest of a JSON object that holds one value; its brace is already open.
pub(super) fn json_field(
    position: usize,
    name: &str,
    tags: Tags,
    value: &Value<'_>,
    out: &mut String,
) {
    write(
        out,
        format_args!("\"field\":{{\"pos\":{position},\"name\":\"{name}\"}},\"processNum\":1,"),
    );
    let (origin, nature, scope) = (tags.origin(), tags.nature(), tags.scope());
    write(
        out,
        format_args!(
            "\"tags\":{{\"origin\":\"{origin}\",\"nature\":\"{nature}\",\"scope\":\"{scope}\"}},"
        ),
    );
    write(
        out,
        format_args!("\"value\":{{\"type\":\"{}\",\"value\":", value.kind()),
    );
    match value {
        Value::Text(text) => json_text(text, out),
        // Numbers that a double cannot hold would be read wrong: RFC 8259 section 6.
        Value::U64(number) if *number > MAX_SAFE_NUMBER => write(out, format_args!("\"{number}\"")),
        value => write(out, format_args!("{value}")),
    }
    out.push_str("}}");
}

const MAX_SAFE_NUMBER: u64 = (1 << 53) - 1;

/// RFC 8259 section 7.
pub(crate) fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            '\u{0}'..='\u{1f}' => write(out, format_args!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// Appends formatted text; a string takes everything.
pub(crate) fn write(out: &mut String, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Selection, rows};
    use super::super::testing;
    use super::*;

    fn print(format: Format) -> String {
        let (plane, process) = (testing::plane(), testing::process());
        let selection = Selection::default();
        stat(
            rows(testing::view(&plane, &process), &selection),
            format,
            false,
        )
    }

    #[test]
    fn typed_lines_name_object_position_and_type() {
        let text = print(Format::Typed);
        for line in [
            "F.2.0.0.pxname.1:KNSV:str:web\n",
            "S.3.1.18.weight.1:MaPV:u32:50\n",
            "B.3.0.17.status.1:SGPV:str:UP\n",
            "S.3.1.55.lastsess.1:MAPP:s32:-1\n",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }

    #[test]
    fn json_is_an_array_of_arrays() {
        let text = print(Format::Json);
        assert!(text.starts_with("[[{\"objType\":\"Frontend\",\"proxyId\":2,\"id\":0,\"field\":{\"pos\":0,\"name\":\"pxname\"},\"processNum\":1,\"tags\":{\"origin\":\"Key\",\"nature\":\"Name\",\"scope\":\"Service\"},\"value\":{\"type\":\"str\",\"value\":\"web\"}}"));
        assert!(text.ends_with("}}]]\n"));
    }

    #[test]
    fn text_cannot_break_out_of_its_cell() {
        let mut csv = String::new();
        csv_value(&Value::Text("a,\"b\"\nc".into()), &mut csv);
        assert_eq!(csv, "\"a,\"\"b\"\" c\"");
        let mut json = String::new();
        json_text("a\"\\\n\u{1}", &mut json);
        assert_eq!(json, r#""a\"\\\u000a\u0001""#);
    }
}
