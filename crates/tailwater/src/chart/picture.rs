//! A chart as SVG or PNG, drawn with letters of our own: what a machine has installed does not matter.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE, register_font};

use super::ticks::{self, Ticks};
use super::{Chart, Heading, Series};
use crate::output::{harmless, shortened_inside};

/// Letters: the embedded one measures, and draws a PNG; who shows an SVG takes the first one there is.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
/// A PNG is drawn so many times as large, and then made smaller: that smooths lines and letters.
const FINER: u32 = 2;
const NAME_WIDTH_MAX: usize = 32;
const INK: RGBColor = RGBColor(51, 51, 51);
const FAINT: RGBColor = RGBColor(119, 119, 119);
const GRID: RGBColor = RGBColor(228, 228, 228);
/// Colours that are told apart, the strong ones first.
const COLOURS: [RGBColor; super::SERIES_MAX] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(127, 127, 127),
    RGBColor(188, 189, 34),
    RGBColor(23, 190, 207),
    RGBColor(174, 199, 232),
    RGBColor(255, 187, 120),
    RGBColor(152, 223, 138),
    RGBColor(255, 152, 150),
    RGBColor(197, 176, 213),
    RGBColor(196, 156, 148),
    RGBColor(247, 182, 210),
    RGBColor(199, 199, 199),
    RGBColor(219, 219, 141),
    RGBColor(158, 218, 229),
];

/// The colour of a series, by its number.
#[must_use]
pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS.get(number % COLOURS.len()).copied().unwrap_or(INK)
}

/// Why nothing is drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw: {0}")]
pub(crate) struct DrawError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for DrawError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

/// The chart as SVG.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn svg(
    chart: &Chart,
    heading: &Heading,
    (width, height): (u32, u32),
) -> Result<String, DrawError> {
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    Sheet { root, scale: 1 }.draw(chart, heading)?;
    Ok(text)
}

/// The chart as PNG.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn png(
    chart: &Chart,
    heading: &Heading,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, DrawError> {
    let large = (width * FINER, height * FINER);
    let mut pixels = vec![0; large.0 as usize * large.1 as usize * 3];
    let root = BitMapBackend::with_buffer(&mut pixels, large).into_drawing_area();
    Sheet { root, scale: FINER }.draw(chart, heading)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&smaller(&pixels, large.0 as usize)));
    written.map_err(|error| DrawError(error.to_string()))?;
    Ok(file)
}

/// Each square of pixels as one, of their average colour.
fn smaller(pixels: &[u8], width: usize) -> Vec<u8> {
    let finer = FINER as usize;
    let mut small = Vec::with_capacity(pixels.len() / finer / finer);
    for rows in pixels.chunks_exact(width * 3 * finer) {
        for column in (0..width).step_by(finer) {
            for colour in 0..3 {
                let at = |down: usize, right: usize| (down * width + column + right) * 3 + colour;
                let square = (0..finer).flat_map(|down| (0..finer).map(move |right| at(down, right)));
                let sum: u32 =
                    square.filter_map(|index| rows.get(index)).map(|value| u32::from(*value)).sum();
                small.push(u8::try_from(sum / (FINER * FINER)).unwrap_or(u8::MAX));
            }
        }
    }
    small
}

/// Values from 0, with marks that were chosen before.
struct Axis(Ticks);

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "a pixel of a picture of some thousands")]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = if self.0.end > 0.0 { value / self.0.end } else { 0.0 };
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.0.at.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.0.end
    }
}

/// What is drawn on, and how many of its pixels are one of the picture.
struct Sheet<D: DrawingBackend> {
    root: DrawingArea<D, Shift>,
    scale: u32,
}

type Plane<'a, D> = ChartContext<'a, D, Cartesian2d<Axis, Axis>>;

impl<D: DrawingBackend> Sheet<D> {
    fn draw(&self, chart: &Chart, heading: &Heading) -> Result<(), DrawError> {
        // NOTE: an embedded font that cannot be read shows in the first picture that anybody draws.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        self.root.fill(&WHITE)?;
        self.text(&heading.title, (16, 12), 20, INK)?;
        self.text(&heading.subtitle, (16, 38), 14, FAINT)?;
        let names: Vec<String> =
            chart.series.iter().map(|it| shortened_inside(&harmless(&it.name), NAME_WIDTH_MAX)).collect();
        let legend = self.legend_width(&names);
        let (_, below) = self.root.split_vertically(self.pixels(60));
        let width = i32::try_from(below.dim_in_pixel().0).unwrap_or(i32::MAX);
        let (left, right) = below.split_horizontally(width - legend);
        self.plane(chart, &left)?;
        self.legend(&names, &right)?;
        self.root.present()?;
        Ok(())
    }

    fn pixels(&self, number: i32) -> i32 {
        number * i32::try_from(self.scale).unwrap_or(1)
    }

    fn style(&self, size: i32, colour: RGBColor) -> TextStyle<'static> {
        let color = colour.to_backend_color();
        TextStyle { color, ..TextStyle::from((FONT, self.pixels(size)).into_font()) }
    }

    fn text(&self, text: &str, at: (i32, i32), size: i32, colour: RGBColor) -> Result<(), DrawError> {
        let at = (self.pixels(at.0), self.pixels(at.1));
        Ok(self.root.draw(&Text::new(harmless(text), at, self.style(size, colour)))?)
    }

    /// How wide the widest of these is.
    fn width_of(&self, texts: &[String], size: i32) -> i32 {
        let style = self.style(size, INK);
        let widths = texts.iter().filter_map(|text| self.root.estimate_text_size(text, &style).ok());
        widths.map(|(width, _)| i32::try_from(width).unwrap_or(0)).max().unwrap_or(0)
    }

    fn legend_width(&self, names: &[String]) -> i32 {
        let most = i32::try_from(self.root.dim_in_pixel().0 * 2 / 5).unwrap_or(i32::MAX);
        (self.width_of(names, 14) + self.pixels(48)).min(most)
    }

    fn legend(&self, names: &[String], area: &DrawingArea<D, Shift>) -> Result<(), DrawError> {
        let height = i32::try_from(area.dim_in_pixel().1).unwrap_or(0);
        let room = usize::try_from((height - self.pixels(20)) / self.pixels(20)).unwrap_or(0);
        for (number, (name, line)) in names.iter().zip(0..).enumerate().take(room) {
            let top = self.pixels(14 + 20 * line);
            let square = [(self.pixels(8), top), (self.pixels(20), top + self.pixels(12))];
            area.draw(&Rectangle::new(square, colour(number).filled()))?;
            let style = self.style(14, INK);
            area.draw(&Text::new(name.clone(), (self.pixels(26), top - self.pixels(1)), style))?;
        }
        Ok(())
    }

    fn plane(&self, chart: &Chart, area: &DrawingArea<D, Shift>) -> Result<(), DrawError> {
        let (width, height) = area.dim_in_pixel();
        let (across, down) = (width / self.scale / 90, (height / self.scale / 60).max(2));
        let times = ticks::of_times(chart.from(), chart.end, across.max(2));
        let numbers = ticks::of_numbers(chart.greatest(), chart.measure.unit, down);
        let left = self.width_of(&numbers.labels, 13) + self.pixels(44);
        let told = |ticks: &Ticks| {
            let (at, labels) = (ticks.at.clone(), ticks.labels.clone());
            move |value: &f64| {
                let number = at.iter().position(|tick| tick.total_cmp(value).is_eq());
                number.and_then(|number| labels.get(number).cloned()).unwrap_or_default()
            }
        };
        let (x_label, y_label) = (told(&times), told(&numbers));
        let mut plane: Plane<'_, D> = ChartBuilder::on(area)
            .margin(self.pixels(12))
            .margin_right(self.pixels(28))
            .x_label_area_size(self.pixels(52))
            .y_label_area_size(left)
            .build_cartesian_2d(Axis(times), Axis(numbers))?;
        let (label, word) = (self.style(13, INK), self.style(14, FAINT));
        plane
            .configure_mesh()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(ShapeStyle::from(&GRID).stroke_width(self.scale))
            .axis_style(ShapeStyle::from(&FAINT).stroke_width(self.scale))
            .x_label_formatter(&x_label)
            .y_label_formatter(&y_label)
            .x_label_style(label.clone())
            .y_label_style(label)
            .axis_desc_style(word)
            .x_desc("time (UTC)")
            .y_desc(chart.measure.unit.word())
            .draw()?;
        if chart.measure.adds_up { self.bars(chart, &mut plane) } else { self.lines(chart, &mut plane) }
    }

    fn lines(&self, chart: &Chart, plane: &mut Plane<'_, D>) -> Result<(), DrawError> {
        for (number, series) in chart.series.iter().enumerate() {
            let colour = colour(number);
            for run in series.runs() {
                let points: Vec<(f64, f64)> =
                    run.iter().map(|(bucket, value)| (chart.seconds(*bucket), *value)).collect();
                if let [point] = points.as_slice() {
                    plane.draw_series([Circle::new(*point, self.pixels(3), colour.filled())])?;
                }
                let line = ShapeStyle::from(&colour).stroke_width(2 * self.scale);
                plane.draw_series([PathElement::new(points, line)])?;
            }
        }
        Ok(())
    }

    fn bars(&self, chart: &Chart, plane: &mut Plane<'_, D>) -> Result<(), DrawError> {
        let mut tops = vec![0.0; chart.starts.len()];
        for (number, series) in chart.series.iter().enumerate() {
            for (bucket, value) in &series.points {
                let Some(top) = tops.get_mut(*bucket) else { continue };
                let (from, to) = (chart.seconds(*bucket), chart.seconds(bucket + 1));
                let space = (to - from) * 0.08;
                let bar = [(from + space, *top), (to - space, *top + value)];
                plane.draw_series([Rectangle::new(bar, colour(number).filled())])?;
                *top += value;
            }
        }
        Ok(())
    }
}

impl Chart {
    /// Where its axis of time begins.
    fn from(&self) -> event::Time {
        self.starts.first().copied().unwrap_or(self.end)
    }

    /// Where a bucket begins, in seconds of the axis; behind the last one is the end.
    fn seconds(&self, bucket: usize) -> f64 {
        ticks::seconds_between(self.from(), self.starts.get(bucket).copied().unwrap_or(self.end))
    }

    /// What the axis must reach: the greatest value, of bars the greatest sum.
    #[must_use]
    pub(crate) fn greatest(&self) -> f64 {
        if !self.measure.adds_up {
            return self.most();
        }
        let mut sums = vec![0.0; self.starts.len()];
        for (bucket, value) in self.series.iter().flat_map(|series| &series.points) {
            if let Some(sum) = sums.get_mut(*bucket) {
                *sum += value;
            }
        }
        sums.into_iter().fold(0.0, f64::max)
    }
}

impl Series {
    /// The points in pieces, each without a gap.
    #[must_use]
    pub(crate) fn runs(&self) -> Vec<Vec<(usize, f64)>> {
        let mut runs: Vec<Vec<(usize, f64)>> = Vec::new();
        for (bucket, value) in &self.points {
            match runs.last_mut().filter(|run| run.last().is_some_and(|(last, _)| last + 1 == *bucket)) {
                Some(run) => run.push((*bucket, *value)),
                None => runs.push(vec![(*bucket, *value)]),
            }
        }
        runs
    }
}
