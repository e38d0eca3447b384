//! Draws the figures, and reads the keyboard.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table as TableWidget, Wrap};
use ratatui::{DefaultTerminal, Frame};

use crate::figures::Figures;
use crate::looks::Looks;
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
    Redraw,
    Nothing,
}

/// Maximum wait for a key, after which new figures are shown.
const KEY_TIME_MAX: Duration = Duration::from_millis(50);

/// Shows the figures until a key ends it.
///
/// # Errors
///
/// When the terminal cannot be used.
pub(crate) fn run(looks: &Looks, figures: Figures) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let screen = Screen { figures, shows_clients: false, trouble: None };
    let outcome = screen.show(looks, &mut terminal);
    ratatui::restore();
    outcome
}

impl Screen {
    fn show(mut self, looks: &Looks, terminal: &mut DefaultTerminal) -> io::Result<()> {
        let mut is_drawn = false;
        loop {
            if !is_drawn {
                terminal.draw(|frame| self.draw(frame))?;
            }
            is_drawn = true;
            match wish()? {
                Wish::End => return Ok(()),
                Wish::OtherView => (self.shows_clients, is_drawn) = (!self.shows_clients, false),
                Wish::Redraw => is_drawn = false,
                Wish::Nothing => {}
            }
            match looks.next() {
                Some(Ok(figures)) => {
                    (self.figures, self.trouble, is_drawn) = (figures, None, false)
                }
                Some(Err(reason)) => (self.trouble, is_drawn) = (Some(reason), false),
                None => {}
            }
        }
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
        let part = if self.shows_clients { &self.figures.clients } else { &self.figures.channels };
        match part {
            Ok(table) => draw_table(frame, table, body),
            Err(reason) => frame.render_widget(Paragraph::new(reason.as_str()).red(), body),
        }
        let keys = match &self.trouble {
            Some(trouble) => Line::from(trouble.clone()).red(),
            None => Line::from("Tab: channels or clients   q: end").dim(),
        };
        frame.render_widget(keys, foot);
    }
}

/// Waits for a key.
fn wish() -> io::Result<Wish> {
    if !event::poll(KEY_TIME_MAX)? {
        return Ok(Wish::Nothing);
    }
    let Event::Key(key) = event::read()? else { return Ok(Wish::Redraw) };
    Ok(match key.code {
        _ if key.kind != KeyEventKind::Press => Wish::Nothing,
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
        KeyCode::Tab => Wish::OtherView,
        _ => Wish::Nothing,
    })
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
