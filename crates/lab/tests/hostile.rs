//! Whatever is typed or sent, the readers of the laboratory answer with a value or a sentence.

use plimsoll_lab::backend::Options;
use plimsoll_lab::backend::work::Work;
use plimsoll_lab::duration;
use plimsoll_lab::load::profile::Profile;
use plimsoll_lab::load::target::Target;
use proptest::prelude::*;

/// Words made of what the readers look for, so that more than the first check is reached.
fn words() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("10s"),
        Just("ms"),
        Just(":"),
        Just(","),
        Just("c"),
        Just("1e9"),
        Just("NaN"),
        Just("http://"),
        Just("tcp://"),
        Just("["),
        Just("]"),
        Just("/"),
        Just("?"),
        Just("@"),
        Just("cpu_ms"),
        Just("fail_rate"),
        Just("="),
        Just("&"),
        Just("0.5"),
        Just("-1"),
        Just("99999999999999999999"),
        Just("é"),
        Just(" "),
    ];
    prop_oneof![
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn lengths_of_time(text in words()) {
        if let Ok(length) = duration::parse(&text) {
            prop_assert!(length <= duration::DURATION_MAX);
        }
    }

    #[test]
    fn lengths_of_time_are_read_as_they_are_written(millis in 0_u64..604_800_000) {
        let length = std::time::Duration::from_millis(millis);
        prop_assert_eq!(duration::parse(&duration::render(length)), Ok(length));
    }

    #[test]
    fn targets(text in words()) {
        if let Ok(target) = Target::parse(&text) {
            let again = Target::parse(&target.to_string());
            prop_assert_eq!(again, Ok(target));
        }
    }

    #[test]
    fn queries(text in words()) {
        if let Ok(work) = Work::default().plus_query(&text) {
            prop_assert!(work.check().is_ok());
        }
    }

    #[test]
    fn environments(text in words()) {
        if let Ok(options) = Options::from_environment(|_| Some(text.clone())) {
            prop_assert!(options.base.cpu_ms >= 0.0);
        }
    }

    /// Arrivals never go back, stay within the profile and are as many as the area under it.
    #[test]
    fn arrivals(stages in prop::collection::vec((0_u32..20, 0_u32..50), 1..6)) {
        let text: Vec<String> = stages
            .iter()
            .map(|(tenths, level)| format!("{}ms:{level}", tenths * 100))
            .collect();
        let profile = Profile::parse(&text.join(",")).expect("stages");
        let (mut area, mut from) = (0.0, 0.0);
        for (tenths, level) in stages {
            let level = f64::from(level);
            area += (from + level) / 2.0 * f64::from(tenths) / 10.0;
            from = level;
        }
        let arrivals: Vec<f64> = profile.arrivals(0, 1).collect();
        prop_assert!((arrivals.len() as f64 - area).abs() <= 1.0);
        prop_assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
        let length = profile.length().as_secs_f64() + 1e-6;
        prop_assert!(arrivals.iter().all(|at| (0.0..=length).contains(at)));
    }

    #[test]
    fn profiles(text in words()) {
        if let Ok(profile) = Profile::parse(&text) {
            prop_assert!(profile.level(1.0).is_finite());
            prop_assert!(profile.arrivals(3, 7).take(100).all(f64::is_finite));
        }
    }
}
