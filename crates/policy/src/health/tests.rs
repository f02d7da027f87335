//! The machine of one server's health, from outside: what it hears, what it asks for, what it says.

use proptest::prelude::*;

use super::*;
use crate::log::Level;
use crate::model::check::AgentCheck;

fn settings(rise: u32, fall: u32) -> ServerCheck {
    ServerCheck {
        enabled: true,
        rhythm: Rhythm {
            rise,
            fall,
            ..Rhythm::default()
        },
        ..ServerCheck::default()
    }
}

fn passed() -> Verdict {
    Verdict::new(Status::ReplyOk, 200, "")
}

fn failed() -> Verdict {
    Verdict::new(Status::ConnectError, 0, "refused")
}

fn says(line: &str) -> Verdict {
    Verdict {
        agent: Some(line.as_bytes().to_vec()),
        ..Verdict::new(Status::Checked, 0, "")
    }
}

fn changes(health: &mut Health, verdicts: &[Verdict]) -> Vec<Option<Change>> {
    let hear = |verdict| health.hear(Which::Check, verdict, Some(1), 0).change;
    verdicts.iter().map(hear).collect()
}

const DOWN: Option<Change> = Some(Change::Down { was_leaving: false });

#[test]
fn one_failure_at_the_start_and_fall_later() {
    let mut health = Health::new(&settings(2, 3));
    assert_eq!(changes(&mut health, &[failed()]), [DOWN]);
    let found = changes(&mut health, &[passed(), passed()]);
    assert_eq!(found, [None, Some(Change::Up)]);
    let found = changes(
        &mut health,
        &[failed(), failed(), passed(), failed(), failed(), failed()],
    );
    assert_eq!(found, [None, None, None, None, None, DOWN]);
    // Down, one pass, one failure: the count starts again.
    let found = changes(&mut health, &[passed(), failed(), passed(), passed()]);
    assert_eq!(found, [None, None, None, Some(Change::Up)]);
}

#[test]
fn first_opinions() {
    let cases = [
        (InitState::FullyUp, Condition::Up, 3),
        (InitState::Up, Condition::Up, 1),
        (InitState::Down, Condition::Down, 1),
        (InitState::FullyDown, Condition::Down, 2),
    ];
    for (init_state, condition, turns) in cases {
        let mut health = Health::new(&ServerCheck {
            init_state,
            ..settings(2, 3)
        });
        assert_eq!(health.condition(), condition);
        let verdict = match condition {
            Condition::Up => failed(),
            _ => passed(),
        };
        let found = changes(&mut health, &vec![verdict; turns]);
        assert!(
            found[..turns - 1].iter().all(Option::is_none),
            "{init_state:?}"
        );
        assert!(found[turns - 1].is_some(), "{init_state:?}");
    }
}

#[test]
fn unsure_servers_are_asked_more_often() {
    let mut settings = settings(2, 2);
    settings.rhythm.fast_interval_ms = Some(100);
    settings.rhythm.down_interval_ms = Some(9_000);
    let mut health = Health::new(&settings);
    let mut intervals = vec![health.interval_ms(Which::Check)];
    for verdict in [passed(), failed(), failed(), passed(), passed()] {
        health.hear(Which::Check, &verdict, Some(1), 0);
        intervals.push(health.interval_ms(Which::Check));
    }
    assert_eq!(intervals, [100, 2_000, 100, 9_000, 100, 2_000]);
}

#[test]
fn agents_have_the_last_word_downwards_and_their_silence_none() {
    let mut health = Health::new(&ServerCheck {
        agent: Some(AgentCheck::default()),
        ..settings(1, 1)
    });
    let hear = |health: &mut Health, which, verdict: &Verdict| {
        let reaction = health.hear(which, verdict, Some(1), 0);
        (reaction.news, reaction.change)
    };
    assert_eq!(hear(&mut health, Which::Agent, &failed()), (true, None));
    assert_eq!(hear(&mut health, Which::Agent, &says("50%")), (false, None));
    assert_eq!(hear(&mut health, Which::Agent, &says("down")), (true, DOWN));
    // The check passes, but the agent has said no.
    assert_eq!(hear(&mut health, Which::Check, &passed()), (true, None));
    assert_eq!(
        hear(&mut health, Which::Agent, &says("ready")),
        (false, None)
    );
    assert_eq!(
        hear(&mut health, Which::Agent, &says("up")),
        (true, Some(Change::Up))
    );
    let reaction = health.hear(Which::Agent, &says("30% maxconn:5 drain"), Some(1), 0);
    let orders = reaction.orders.expect("an agent spoke");
    assert_eq!(orders.maxconn, Some(5));
}

#[test]
fn stopping_and_back() {
    let stopping = Verdict::new(Status::ReplyConditional, 404, "");
    let mut health = Health::new(&settings(1, 1));
    let found = changes(&mut health, &[stopping.clone(), stopping.clone(), passed()]);
    assert_eq!(found, [Some(Change::Stopping), None, Some(Change::Up)]);
    let found = changes(&mut health, &[stopping, failed()]);
    assert_eq!(found[1], Some(Change::Down { was_leaving: true }));
}

#[test]
fn maintenance_silences_verdicts_and_ends_with_a_check() {
    let mut health = Health::new(&settings(2, 2));
    assert!(!health.administer(true, false, 0));
    assert!(health.is_paused());
    assert_eq!(
        changes(&mut health, &[failed(), passed(), passed()]),
        [None, None, None]
    );
    assert_eq!(health.condition(), Condition::Down);
    assert!(health.administer(false, false, 0));
    assert_eq!(health.condition(), Condition::Up);
    assert_eq!(changes(&mut health, &[failed()]), [DOWN]);
}

#[test]
fn followers_follow() {
    let mut health = Health::new(&ServerCheck::default());
    assert_eq!(health.follow(Condition::Up, 0), None);
    assert_eq!(health.follow(Condition::Down, 0), DOWN);
    assert_eq!(health.follow(Condition::Down, 0), None);
    assert_eq!(
        health.follow(Condition::Stopping, 0),
        Some(Change::Stopping)
    );
    assert_eq!(health.follow(Condition::Up, 0), Some(Change::Up));
}

#[test]
fn shares_rise_step_by_step_and_never_stall() {
    let mut health = Health::new(&ServerCheck {
        slow_start_ms: 1_000,
        ..settings(1, 1)
    });
    assert_eq!(
        health.ramp(0),
        (RAMP_FULL, None),
        "nothing to warm up at the start"
    );
    changes(&mut health, &[failed()]);
    health.hear(Which::Check, &passed(), Some(1), 5_000);
    let (mut now_ms, mut steps) = (5_000, Vec::new());
    loop {
        let (step, next_ms) = health.ramp(now_ms);
        steps.push(step);
        let Some(next_ms) = next_ms else { break };
        assert!(next_ms > now_ms);
        now_ms = next_ms;
    }
    assert_eq!(now_ms, 6_000);
    assert_eq!(steps, (1..=16).chain([16]).collect::<Vec<_>>());
}

#[test]
fn errors_in_the_traffic() {
    let observed = |on_error, verdicts: &[Verdict]| {
        let mut health = Health::new(&ServerCheck {
            on_error,
            rhythm: Rhythm {
                fast_interval_ms: Some(100),
                ..settings(2, 3).rhythm
            },
            ..settings(2, 3)
        });
        changes(&mut health, verdicts);
        let reaction = health.accuse(Observation::ConnectFailed, 3, 0);
        assert!(reaction.hurry);
        assert_eq!(health.sums().traffic_failed, 1);
        (
            reaction.change,
            health.tally(Which::Check).expect("checked").count(),
        )
    };
    let up = [passed(), passed()];
    assert_eq!(observed(OnError::FastInterval, &up), (None, 4));
    assert_eq!(observed(OnError::FailCheck, &up), (None, 3));
    assert_eq!(observed(OnError::SuddenDeath, &up), (None, 2));
    assert_eq!(observed(OnError::MarkDown, &up), (DOWN, 0));
}

#[test]
fn suspensions_need_no_check_and_end_by_themselves() {
    let mut health = Health::new(&ServerCheck {
        on_error: OnError::Suspend { window_ms: 500 },
        ..ServerCheck::default()
    });
    let accuse =
        |health: &mut Health, now_ms| health.accuse(Observation::ResponseWrong, 2, now_ms).change;
    assert_eq!(
        accuse(&mut health, 100),
        Some(Change::Suspended { errors: 2 })
    );
    // Late reports of requests under way only make it longer.
    assert_eq!(accuse(&mut health, 200), None);
    assert_eq!(health.resume(699), Err(Some(700)));
    assert_eq!(health.resume(700), Ok(Change::Resumed));
    assert_eq!(health.resume(700), Err(None));
    assert_eq!(
        accuse(&mut health, 800),
        Some(Change::Suspended { errors: 2 })
    );
    assert_eq!(
        (health.condition(), health.sums().times_down),
        (Condition::Up, 0)
    );
}

#[test]
fn failures_and_times_down_are_summed() {
    let mut health = Health::new(&settings(1, 2));
    for (verdict, at_ms) in [
        (passed(), 0),
        (failed(), 1_000),
        (failed(), 2_000),
        (failed(), 3_000),
        (passed(), 5_500),
        (failed(), 6_000),
    ] {
        health.hear(Which::Check, &verdict, Some(1), at_ms);
    }
    let sums = health.sums();
    assert_eq!(
        (sums.checks_failed, sums.times_down, sums.down_ms),
        (3, 1, 3_500)
    );
}

#[test]
fn first_checks_are_spread() {
    let delays: Vec<_> = (0..10_000)
        .map(|position| start_delay_ms(position, 10_000, 2_000, 2_000))
        .collect();
    assert!(delays.is_sorted());
    assert_eq!((delays[0], delays[9_999]), (0, 1_999));
    let most = (0..2_000)
        .map(|ms| delays.iter().filter(|&&delay| delay == ms).count())
        .max();
    assert_eq!(most, Some(5), "never more than the average");
}

const NAMING: Naming<'_> = Naming {
    backend: "b",
    server: "s",
    backup: false,
    track: None,
};

/// A server that failed oddly once, after it had passed.
fn doubted() -> Health {
    let mut health = Health::new(&settings(2, 3));
    let odd = Verdict::new(Status::ReplyInvalid, 0, "a\"b\r\n#");
    health.hear(Which::Check, &passed(), Some(1), 0);
    health.hear(Which::Check, &odd, Some(20), 0);
    health
}

fn tally(health: &Health) -> &Tally {
    health.tally(Which::Check).expect("checked")
}

#[test]
fn lines_about_verdicts() {
    let mut health = Health::new(&settings(2, 3));
    health.hear(Which::Check, &passed(), Some(1), 0);
    let line = |naming: Naming<'_>, health: &Health, weight| {
        check_line(&naming, Which::Check, tally(health), weight).text
    };
    assert_eq!(
        line(NAMING, &health, 1),
        "Health check for server b/s succeeded, reason: Layer7 check passed, code: 200, check duration: 1ms, \
         status: 3/3 UP."
    );
    assert!(line(NAMING, &health, 0).ends_with("3/3 DRAIN."));
    let backup = Naming {
        backup: true,
        ..NAMING
    };
    assert_eq!(
        line(backup, &doubted(), 1),
        "Health check for backup server b/s failed, reason: Layer7 invalid response, info: \"a<22>b<0D><0A>#\", \
         check duration: 20ms, status: 2/3 UP."
    );
}

#[test]
fn lines_about_changes() {
    let health = doubted();
    let census = Census {
        active: 0,
        backup: 2,
        sessions: 3,
        queued: 4,
        requeued: 0,
    };
    let fall = Change::Down { was_leaving: false };
    let down = change_line(&NAMING, fall, Cause::Seen(tally(&health).last()), census);
    assert_eq!(down.level, Level::Alert);
    assert_eq!(
        down.text,
        "Server b/s is DOWN, reason: Layer7 invalid response, info: \"a<22>b<0D><0A>#\", check duration: 20ms. \
         0 active and 2 backup servers left. Running on backup. 3 sessions active, 0 requeued, 4 remaining in queue."
    );
    let tracking = Naming {
        track: Some(("a", "t")),
        ..NAMING
    };
    let census = Census {
        active: 1,
        ..Census::default()
    };
    assert_eq!(
        change_line(&tracking, Change::Up, Cause::Unsaid, census).text,
        "Server b/s is UP via a/t. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."
    );
    assert_eq!(
        no_server_line("b", false).text,
        "backend b has no server available!"
    );
    let report = report_header(&NAMING, tally(&health), false, "n", (1, 2), (13, 22, 0));
    assert_eq!(
        report,
        "UP 2/3; name=b/s; node=n; weight=1/2; scur=13/22; qcur=0"
    );
}

proptest! {
    /// `fall` failures in a row always take a server out, `rise` passes in a row always bring it back, and fewer never do.
    #[test]
    fn rows_decide(rise in 1_u32..6, fall in 1_u32..6, verdicts in proptest::collection::vec(any::<bool>(), 1..80)) {
        let mut health = Health::new(&ServerCheck { init_state: InitState::FullyUp, ..settings(rise, fall) });
        let (mut row, mut before) = (0, true);
        for good in verdicts {
            row = if good == before { row + 1 } else { 1 };
            before = good;
            let was_up = health.condition() == Condition::Up;
            let verdict = if good { passed() } else { failed() };
            let reaction = health.hear(Which::Check, &verdict, Some(1), 0);
            let up = health.condition() == Condition::Up;
            prop_assert_eq!(up != was_up, reaction.change.is_some());
            if good && row >= rise { prop_assert!(up); }
            if !good && row >= fall { prop_assert!(!up); }
            if up != was_up {
                let needed = if up { rise } else { fall };
                prop_assert!(row >= needed);
            }
            let tally = health.tally(Which::Check).expect("checked");
            prop_assert!(tally.count() < rise + fall);
            prop_assert_eq!(tally.is_up(), up);
        }
        prop_assert!(health.history().count() <= HISTORY_MAX);
    }

    #[test]
    fn jitter_stays_within_its_share(interval_ms in 0_u64..10_000_000, percent in 0_u32..=50, chance in any::<u64>()) {
        let found = jittered_ms(interval_ms, percent, chance);
        let most = interval_ms * u64::from(percent) / 100;
        prop_assert!(found >= interval_ms - most && found <= interval_ms + most);
    }
}

#[test]
fn operators_are_heeded_and_checks_go_on_from_there() {
    let mut health = Health::new(&settings(2, 3));
    changes(&mut health, &[passed(), passed()]);
    health.heed(true, false, 10);
    assert_eq!(
        (health.condition(), tally(&health).count()),
        (Condition::Down, 0)
    );
    // The checks find it well and bring it back.
    assert_eq!(
        changes(&mut health, &[passed(), passed()]),
        [None, Some(Change::Up)]
    );
    health.heed(false, true, 20);
    assert_eq!(health.condition(), Condition::Stopping);
    health.heed(false, false, 30);
    assert_eq!(
        (health.condition(), tally(&health).count()),
        (Condition::Up, 4)
    );
    health.heed(true, false, 40);
    health.heed(false, false, 50);
    assert_eq!(
        (health.condition(), tally(&health).count()),
        (Condition::Up, 4)
    );
}

#[test]
fn an_agents_word_can_be_put_into_its_mouth() {
    let mut health = Health::new(&ServerCheck {
        agent: Some(AgentCheck::default()),
        ..settings(1, 1)
    });
    health.heed_agent(false, 0);
    assert_eq!(health.condition(), Condition::Down);
    assert_eq!(changes(&mut health, &[passed()]), [None], "both must be up");
    health.heed_agent(true, 0);
    assert_eq!(health.condition(), Condition::Up);
}
