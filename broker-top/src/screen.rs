//! Draws the figures, and reads the keyboard.

use std::io;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table as TableWidget, Wrap};

use crate::figures::Figures;
use crate::server::Server;
use crate::table::Table;

/// What is on the screen.
struct Screen {
    figures: Figures,
    /// Whether the clients are shown in place of the channels.
    shows_clients: bool,
    /// The failure of the last look.
    trouble: Option<String>,
}

/// What a key asks for.
enum Wish {
    End,
    OtherView,
    Nothing,
}

/// Shows the figures until a key ends it. A server that is away is asked again at each interval.
///
/// # Errors
///
/// When the terminal cannot be used.
pub(crate) fn run(server: &mut Server, figures: Figures, every: Duration) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut screen = Screen { figures, shows_clients: false, trouble: None };
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error);
        }
        match screen.wait(Instant::now() + every) {
            Ok(Wish::End) => break Ok(()),
            Ok(Wish::OtherView) => screen.shows_clients = !screen.shows_clients,
            Ok(Wish::Nothing) => screen.look(server),
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    outcome
}

impl Screen {
    fn look(&mut self, server: &mut Server) {
        match server.connection().and_then(Figures::read) {
            Ok(figures) => {
                self.figures = figures;
                self.trouble = None;
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                server.disconnect();
            }
        }
    }

    /// Waits for a key, or for the time of the next look.
    fn wait(&self, until: Instant) -> io::Result<Wish> {
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(Wish::End),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(Wish::End);
                    }
                    KeyCode::Tab => return Ok(Wish::OtherView),
                    _ => {}
                },
                // Draws again at once.
                Event::Resize(..) => return Ok(Wish::Nothing),
                _ => {}
            }
        }
        Ok(Wish::Nothing)
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(3), Constraint::Fill(1), Constraint::Length(1)])
                .areas(frame.area());
        let server = self.figures.server.iter().flat_map(|(name, value)| {
            [Span::from(format!("{name} ")).dim(), Span::from(format!("{value}   "))]
        });
        let server = Line::from(server.collect::<Vec<_>>());
        frame.render_widget(Paragraph::new(server).wrap(Wrap { trim: true }), head);
        let table = if self.shows_clients { &self.figures.clients } else { &self.figures.channels };
        draw_table(frame, table, body);
        let keys = match &self.trouble {
            Some(trouble) => Line::from(trouble.clone()).red(),
            None => Line::from("Tab: channels or clients   q: end").dim(),
        };
        frame.render_widget(keys, foot);
    }
}

fn draw_table(frame: &mut Frame<'_>, table: &Table, area: Rect) {
    let cell = |column: usize, text: &str| {
        let line = Line::from(text.to_owned());
        Cell::from(if column < table.texts { line } else { line.right_aligned() })
    };
    let rows = table.rows.iter().take(area.height.into());
    let rows = rows.map(|row| Row::new(row.iter().enumerate().map(|(at, text)| cell(at, text))));
    let headings = table.headings.iter().enumerate().map(|(at, text)| cell(at, text));
    let widths = table.widths().into_iter().enumerate().map(|(column, width)| {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        if column == 0 { Constraint::Max(width) } else { Constraint::Length(width.min(40)) }
    });
    let widget = TableWidget::new(rows, widths)
        .header(Row::new(headings).style(Style::new().bold()))
        .column_spacing(2);
    frame.render_widget(widget, area);
}
