//! Lists in columns.

use super::words::{cut, hanging};

/// The narrowest that the last column gets, in characters.
const LAST_MIN: usize = 12;

/// A table with its head, in lines of at most `width` characters: the last column gives way. Where
/// the others leave it no room, each row becomes a sheet of its own.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let used: usize = widths.iter().take(N.saturating_sub(1)).map(|width| width + 2).sum();
    let last = widths.last().copied().unwrap_or_default();
    if used + last.min(LAST_MIN) > width && !rows.is_empty() {
        return sheets(head, rows, width);
    }
    if let Some(last) = widths.last_mut() {
        *last = (*last).min(width.saturating_sub(used).max(LAST_MIN));
    }
    let head = head.map(str::to_owned);
    let lines: Vec<String> =
        std::iter::once(&head).chain(rows).map(|row| line(row, &widths)).collect();
    lines.join("\n")
}

fn sheets<const N: usize>(head: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let names = head.map(str::to_lowercase);
    let room = width.saturating_sub(names.iter().map(String::len).max().unwrap_or(0) + 2);
    let sheets = rows.iter().map(|row| {
        let pairs = names.iter().zip(row);
        let pairs = pairs.map(|(name, cell)| (name.as_str(), hanging("", cell, room, 0)));
        sheet(&pairs.collect::<Vec<_>>())
    });
    sheets.collect::<Vec<_>>().join("\n\n")
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
    fn where_there_is_no_room_each_row_is_a_sheet() {
        let row = |name: &str, waits: &str| [name.to_owned(), "ready".to_owned(), waits.to_owned()];
        let rows = [row("a-long-name", "a worker of proxmox, since a minute"), row("b", "")];
        let drawn = table(["NAME", "PHASE", "WAITS FOR"], &rows, 31);
        let sheets = "name       a-long-name\nphase      ready\n\
                      waits for  a worker of proxmox,\n           since a minute\n\n\
                      name   b\nphase  ready";
        assert_eq!(drawn, sheets);
        assert!(drawn.lines().all(|line| line.len() <= 31), "{drawn}");
    }

    #[test]
    fn a_sheet_leaves_out_what_is_empty() {
        let pairs =
            [("run", "a".to_owned()), ("waits", String::new()), ("state", "b\nc".to_owned())];
        assert_eq!(sheet(&pairs), "run    a\nstate  b\n       c");
    }
}
