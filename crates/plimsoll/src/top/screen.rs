//! The view in the terminal. The keys: arrows scroll, `s` leaves servers out or shows them, `q` ends.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Paragraph, Row, Table, TableState};
use ratatui::{DefaultTerminal, Frame};

use super::sample::{Rates, Sample};
use super::table;

/// What is shown now.
struct View {
    sample: Sample,
    rates: Vec<Rates>,
    /// The answer that could not be had the last time.
    trouble: Option<String>,
    servers: bool,
    state: TableState,
}

/// Shows looks until the user has seen enough. The terminal is left as it was found, after a panic too.
pub(super) fn show(
    interval: Duration,
    mut look: impl FnMut() -> anyhow::Result<Sample>,
) -> anyhow::Result<()> {
    let sample = look()?;
    let mut view = View {
        rates: vec![Rates::default(); sample.rows.len()],
        sample,
        trouble: None,
        servers: true,
        state: TableState::default(),
    };
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, &mut view, interval, &mut look);
    ratatui::restore();
    ended
}

fn watch(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    interval: Duration,
    look: &mut impl FnMut() -> anyhow::Result<Sample>,
) -> anyhow::Result<()> {
    let mut due = Instant::now() + interval;
    loop {
        terminal.draw(|frame| draw(frame, view))?;
        if event::poll(due.saturating_duration_since(Instant::now()))? {
            if !obey(view, &event::read()?) {
                return Ok(());
            }
            continue;
        }
        due = Instant::now() + interval;
        match look() {
            Ok(sample) => {
                view.rates = sample.since(&view.sample);
                view.sample = sample;
                view.trouble = None;
            }
            // It may be restarting; what is shown grows old meanwhile.
            Err(error) => view.trouble = Some(format!("{error:#}")),
        }
    }
}

/// Whether to go on.
fn obey(view: &mut View, event: &Event) -> bool {
    let Event::Key(key) = event else { return true };
    if key.kind == KeyEventKind::Release {
        return true;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('s') => view.servers = !view.servers,
        KeyCode::Down | KeyCode::Char('j') => view.state.scroll_down_by(1),
        KeyCode::Up | KeyCode::Char('k') => view.state.scroll_up_by(1),
        KeyCode::PageDown => view.state.scroll_down_by(20),
        KeyCode::PageUp => view.state.scroll_up_by(20),
        KeyCode::Home => view.state.select_first(),
        KeyCode::End => view.state.select_last(),
        _ => {}
    }
    true
}

fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = areas.areas(frame.area());
    let bold = Style::default().add_modifier(Modifier::BOLD);
    frame.render_widget(
        Paragraph::new(table::headline(&view.sample)).style(bold),
        top,
    );
    let rows = view.sample.rows.iter().zip(&view.rates);
    let rows = rows
        .filter(|(row, _)| view.servers || !row.is_server())
        .map(|(row, rates)| Row::new(table::cells(row, rates)).style(style(&row.status)));
    let widths = [18, 18, 18, 6, 7, 6, 8, 6, 9, 8].map(Constraint::Min);
    let table = Table::new(rows, widths)
        .header(Row::new(table::HEADS).style(bold))
        .row_highlight_style(Style::default().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, middle, &mut view.state);
    let (text, colour) = match &view.trouble {
        Some(trouble) => (trouble.as_str(), Color::Red),
        None => ("arrows scroll   s servers   q ends", Color::DarkGray),
    };
    let text = Paragraph::new(text.to_owned()).style(Style::default().fg(colour));
    frame.render_widget(text, bottom);
}

fn style(status: &str) -> Style {
    let colour = match status.split(' ').next().unwrap_or_default() {
        "DOWN" | "STOP" => Color::Red,
        "MAINT" | "DRAIN" | "NOLB" | "PAUSED" => Color::Yellow,
        "UP" if status.contains('/') => Color::Yellow,
        "UP" | "OPEN" => Color::Green,
        _ => return Style::default(),
    };
    Style::default().fg(colour)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    use super::super::sample::tests::{STAT, sample};
    use super::*;

    fn view() -> View {
        let sample = sample(Instant::now(), STAT);
        View {
            rates: vec![Rates::default(); sample.rows.len()],
            sample,
            trouble: None,
            servers: true,
            state: TableState::default(),
        }
    }

    fn drawn(view: &mut View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 12)).expect("a terminal");
        terminal.draw(|frame| draw(frame, view)).expect("it draws");
        terminal.backend().to_string()
    }

    fn press(view: &mut View, code: KeyCode) -> bool {
        obey(view, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    #[test]
    fn what_is_drawn_is_what_was_read() {
        let mut view = view();
        let text = drawn(&mut view);
        for part in [
            "Plimsoll",
            "FRONTEND",
            "one",
            "UP 1/3 L7OK",
            "DOWN L4CON",
            "q ends",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(press(&mut view, KeyCode::Char('s')));
        assert!(!drawn(&mut view).contains("L4CON"), "servers are left out");
        view.trouble = Some("cannot ask".to_owned());
        assert!(drawn(&mut view).contains("cannot ask"));
        assert!(press(&mut view, KeyCode::Down));
        assert!(!press(&mut view, KeyCode::Char('q')));
    }

    #[test]
    fn a_tiny_terminal_is_survived() {
        let mut view = view();
        for size in [(1, 1), (3, 2), (200, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
            terminal
                .draw(|frame| draw(frame, &mut view))
                .expect("it draws");
        }
    }
}
