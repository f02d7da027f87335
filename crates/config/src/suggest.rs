//! "Did you mean": the known word nearest to a mistyped one.

/// Longest word that is compared; a longer one is no slip of the finger, and the comparison is quadratic.
const WORD_BYTES_MAX: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be what was meant.
///
/// Neighbouring letters swapped count as one slip. One slip is forgiven, and one per three letters. A word that
/// only differs in case, or in `-` and `_`, is always near. Among equals the first candidate wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let folded = fold(word);
    let allowed = (folded.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| !candidate.is_empty() && candidate.len() <= WORD_BYTES_MAX)
        .map(|candidate| (strsim::osa_distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < word.len().min(candidate.len())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_forgiven_and_strangers_are_not() {
        let known = ["bind", "backend", "balance", "default_backend", "mode"];
        let cases = [
            ("bnid", Some("bind")),
            ("Backend", Some("backend")),
            ("default-backend", Some("default_backend")),
            ("blance", Some("balance")),
            ("modes", Some("mode")),
            ("x", None),
            ("ring", None),
            ("frobnicate", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"b".repeat(1 << 20), known), None);
    }
}
