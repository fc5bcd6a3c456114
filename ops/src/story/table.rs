//! Lists in columns.

use super::words::cut;

/// The narrowest that the last column gets, in characters.
const LAST_MIN: usize = 12;

/// A table with its head, in lines of at most `width` characters: the last column gives way.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let used: usize = widths.iter().take(N.saturating_sub(1)).map(|width| width + 2).sum();
    if let Some(last) = widths.last_mut() {
        *last = (*last).min(width.saturating_sub(used).max(LAST_MIN));
    }
    let head = head.map(str::to_owned);
    let lines: Vec<String> =
        std::iter::once(&head).chain(rows).map(|row| line(row, &widths)).collect();
    lines.join("\n")
}

/// Names and values, one pair a line; what is empty is left out.
pub fn sheet(pairs: &[(&str, String)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let names = pairs.clone().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = pairs
        .map(|(name, value)| {
            let hanging = format!("\n{:names$}  ", "");
            format!("{name:names$}  {}", value.replace('\n', &hanging))
        })
        .collect();
    lines.join("\n")
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let cell = cut(cell, *width);
        line.push_str(&format!("{cell:width$}  "));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{sheet, table};

    #[test]
    fn the_last_column_gives_way() {
        let rows = [["dev".to_owned(), "waits for a worker of proxmox".to_owned()]];
        let drawn = table(["NAME", "WAITING"], &rows, 26);
        assert_eq!(drawn, "NAME  WAITING\ndev   waits for a worker …");
    }

    #[test]
    fn a_sheet_leaves_out_what_is_empty() {
        let pairs =
            [("run", "a".to_owned()), ("waits", String::new()), ("state", "b\nc".to_owned())];
        assert_eq!(sheet(&pairs), "run    a\nstate  b\n       c");
    }
}
