//! Many things in few words.

/// How many are named.
const NAMED_MAX: usize = 5;

/// The first few by name, and how many more there are.
pub(crate) fn named<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let mut all = all.into_iter();
    let first = all.by_ref().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    match all.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn five_are_named_and_the_others_are_counted() {
        assert_eq!(named([]), "");
        assert_eq!(named(["a", "b", "c", "d", "e"]), "a, b, c, d, e");
        assert_eq!(named(["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
