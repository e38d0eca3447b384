//! Draws one picture on any canvas.

use std::iter;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Places;
use super::pictures::{Line, Picture, Shown, ShownPanel};
use super::style::{self, Mark, Style};

pub(crate) const FAMILY: &str = "sans-serif";

const INK: RGBColor = RGBColor(34, 34, 34);
const PALE_INK: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(226, 226, 226);

/// The length of the stroke in front of a server's name.
const LEGEND_STROKE: u32 = 28;

/// A canvas.
type Area<B> = DrawingArea<B, Shift>;
/// The result of drawing on a canvas.
type Drawn<B, T = ()> = Result<T, DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// A picture while it is drawn. Lengths are those of the SVG, times `scale`.
struct Drawing<'a> {
    picture: &'a Picture,
    shown: &'a Shown,
    looks: Vec<(&'a str, Style)>,
    scale: u32,
}

/// A server in the legend.
struct Entry<'a> {
    title: &'a str,
    look: Style,
    x: i32,
    /// The number of its line, from 0.
    line: i32,
}

/// Draws a picture with `caption` below it.
pub(crate) fn draw<B: DrawingBackend>(
    area: &Area<B>,
    picture: &Picture,
    shown: &Shown,
    caption: &str,
    scale: u32,
) -> Drawn<B> {
    let mut others = 0;
    let servers = shown.servers().into_iter();
    let looks = servers.map(|server| (server, style::of(server, &mut others))).collect();
    let drawing = Drawing { picture, shown, looks, scale };
    area.fill(&WHITE)?;
    let lines = drawing.legend(area)?.last().map_or(0, |entry| entry.line);
    let (head, rest) = area.split_vertically(drawing.length(98) + lines * drawing.legend_line());
    let (panels, foot) = rest.split_vertically(rest.dim_in_pixel().1 as i32 - drawing.length(28));
    drawing.head(&head)?;
    let count = shown.panels.len();
    let parts = panels.margin(0, 0, drawing.length(8), drawing.length(16)).split_evenly((1, count));
    // All panels share the axis of the first one.
    let y_labels = iter::once(picture.y.label).chain(iter::repeat(""));
    for ((panel, part), y_label) in shown.panels.iter().zip(parts).zip(y_labels) {
        drawing.panel(&part, panel, y_label)?;
    }
    let place = (drawing.length(20), drawing.length(4));
    foot.draw(&Text::new(caption.to_owned(), place, drawing.text(11, PALE_INK)))
}

impl Drawing<'_> {
    fn length(&self, length: u32) -> i32 {
        (length * self.scale).cast_signed()
    }

    fn text(&self, size: u32, colour: RGBColor) -> TextStyle<'static> {
        (FAMILY, self.length(size)).into_font().color(&colour)
    }

    fn bold(&self, size: u32) -> TextStyle<'static> {
        FontDesc::new(FAMILY.into(), f64::from(self.length(size)), FontStyle::Bold).color(&INK)
    }

    /// Draws the title, the subtitle and the legend.
    fn head<B: DrawingBackend>(&self, area: &Area<B>) -> Drawn<B> {
        let left = self.length(20);
        area.draw(&Text::new(self.picture.title, (left, self.length(16)), self.bold(20)))?;
        let place = (left, self.length(46));
        area.draw(&Text::new(self.picture.subtitle, place, self.text(13, PALE_INK)))?;
        for Entry { title, look, x, line } in self.legend(area)? {
            let y = self.length(80) + line * self.legend_line();
            let end = x + self.length(LEGEND_STROKE);
            area.draw(&PathElement::new([(x, y), (end, y)], self.stroke(look.colour)))?;
            self.mark(area, ((x + end) / 2, y), look)?;
            let text = self.text(13, INK).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(title, (end + self.length(8), y), text))?;
        }
        Ok(())
    }

    /// Returns the entries of the legend.
    fn legend<B: DrawingBackend>(&self, area: &Area<B>) -> Drawn<B, Vec<Entry<'_>>> {
        let (left, right) = (self.length(20), area.dim_in_pixel().0.cast_signed());
        let (mut x, mut line) = (left, 0);
        let mut entries = Vec::new();
        for &(server, look) in &self.looks {
            let title = style::title(server);
            let (width, _) = area.estimate_text_size(title, &self.text(13, INK))?;
            let width = self.length(LEGEND_STROKE + 8) + width.cast_signed();
            if x > left && x + width > right {
                (x, line) = (left, line + 1);
            }
            entries.push(Entry { title, look, x, line });
            x += width + self.length(24);
        }
        Ok(entries)
    }

    fn legend_line(&self) -> i32 {
        self.length(20)
    }

    /// Draws one diagram.
    fn panel<B: DrawingBackend>(
        &self,
        area: &Area<B>,
        panel: &ShownPanel,
        y_label: &str,
    ) -> Drawn<B> {
        let (x, y) = (self.picture.x, self.picture.y);
        let all = || self.shown.lines().flat_map(|line| &line.points);
        let mut x_ticks: Vec<f64> = all().map(|point| x.place(point.x)).collect();
        x_ticks.sort_by(f64::total_cmp);
        x_ticks.dedup();
        let (first, last) = (x_ticks[0], x_ticks[x_ticks.len() - 1]);
        let room = ((last - first) * 0.06).max(f64::MIN_POSITIVE);
        let y_range = y.range(all().flat_map(|point| [point.y, point.rounds.1]));
        let y_ticks = y.ticks(&y_range);
        let mut builder = ChartBuilder::on(area);
        builder
            .margin(self.length(4))
            .x_label_area_size(self.length(48))
            .y_label_area_size(self.length(84));
        if !panel.title.is_empty() {
            let style = self.text(14, INK);
            builder.caption(panel.title, style);
        }
        let mut chart = builder.build_cartesian_2d(
            Places { range: first - room..last + room, ticks: x_ticks },
            Places { range: y_range, ticks: y_ticks },
        )?;
        chart
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(self.scale))
            .light_line_style(TRANSPARENT)
            .axis_style(PALE_INK.stroke_width(self.scale))
            .set_all_tick_mark_size(self.length(4))
            .label_style(self.text(12, INK))
            .axis_desc_style(self.text(13, INK))
            .x_desc(x.label)
            .y_desc(y_label)
            .x_label_formatter(&|&place| x.tick_text(place))
            .y_label_formatter(&|&place| y.tick_text(place))
            .draw()?;
        for line in &panel.lines {
            let Some((_, look)) = self.looks.iter().find(|(server, _)| *server == line.server)
            else {
                continue;
            };
            let places: Vec<(i32, i32)> = line
                .points
                .iter()
                .map(|point| chart.backend_coord(&(x.place(point.x), y.place(point.y))))
                .collect();
            self.rounds(area, line, *look, |x_figure, y_figure| {
                chart.backend_coord(&(x.place(x_figure), y.place(y_figure)))
            })?;
            self.line(area, &places, *look)?;
        }
        Ok(())
    }

    /// Draws a bar from the lowest to the highest round of each point.
    fn rounds<B: DrawingBackend>(
        &self,
        area: &Area<B>,
        line: &Line,
        look: Style,
        place: impl Fn(f64, f64) -> (i32, i32),
    ) -> Drawn<B> {
        let colour = look.colour.mix(0.35).stroke_width(self.scale * 2);
        for point in &line.points {
            let (low, high) = point.rounds;
            let ends = [place(point.x, low), place(point.x, high)];
            area.draw(&PathElement::new(ends.map(|end| self.within(area, end)), colour))?;
        }
        Ok(())
    }

    fn line<B: DrawingBackend>(
        &self,
        area: &Area<B>,
        places: &[(i32, i32)],
        look: Style,
    ) -> Drawn<B> {
        let places: Vec<(i32, i32)> =
            places.iter().map(|&place| self.within(area, place)).collect();
        area.draw(&PathElement::new(places.clone(), self.stroke(look.colour)))?;
        places.into_iter().try_for_each(|place| self.mark(area, place, look))
    }

    /// Converts a place on the canvas to one in an area.
    fn within<B: DrawingBackend>(&self, area: &Area<B>, place: (i32, i32)) -> (i32, i32) {
        let (left, top) = area.get_base_pixel();
        (place.0 - left, place.1 - top)
    }

    fn stroke(&self, colour: RGBColor) -> ShapeStyle {
        colour.stroke_width(self.scale * 2)
    }

    fn mark<B: DrawingBackend>(&self, area: &Area<B>, place: (i32, i32), look: Style) -> Drawn<B> {
        let colour = look.colour.filled();
        let size = self.length(4);
        match look.mark {
            Mark::Circle => area.draw(&Circle::new(place, size, colour)),
            Mark::Triangle => area.draw(&TriangleMarker::new(place, size + self.length(1), colour)),
            Mark::Diamond => {
                let half = size + self.length(1);
                let (x, y) = place;
                let corners = [(x - half, y), (x, y - half), (x + half, y), (x, y + half)];
                area.draw(&Polygon::new(corners, colour))
            }
            Mark::Cross => {
                let stroke = look.colour.stroke_width(self.scale * 2);
                area.draw(&Cross::new(place, size, stroke))
            }
            Mark::Square => {
                let half = size - self.length(1) / 2;
                let corners = [(place.0 - half, place.1 - half), (place.0 + half, place.1 + half)];
                area.draw(&Rectangle::new(corners, colour))
            }
        }
    }
}
