//! Which class is taken for which.

use super::drawing::{Anchor, Drawing, Frame, Stroke, TextStyle};
use super::{Picture, Subject, axis, colormap, theme};
use crate::EvaluationReport;

/// More classes than this would make a sheet of metres: the hardest are shown, and the subtitle says so.
const MAX_CLASSES: usize = 120;
/// From this many classes on, the largest confusions are listed too, since the eye does not find them among the cells.
const LISTED_FROM: usize = 31;
const LISTED: usize = 40;
const LIST_WIDTH: f64 = 330.0;

/// The confusion matrix: rows are true classes, columns predicted ones. A cell is coloured by its share of the row and
/// shows its count (and, up to 30 classes, that share); recall stands at the end of each row, precision under each
/// column. More than 120 classes are cut to the 100 with the lowest recall.
pub fn confusion_matrix(subject: &Subject<'_>, report: &EvaluationReport) -> Picture {
    let table = Table::new(report);
    let n = table.classes.len();
    let sizes = Sizes::for_classes(n);
    let names: Vec<_> = table.classes.iter().map(|&class| sizes.name.fitted(&report.classes[class].name, sizes.name_room)).collect();
    let name_width = names.iter().map(|name| sizes.name.width(name)).fold(0.0, f64::max);
    let upright = name_width <= sizes.cell - 6.0;

    let side = n as f64 * sizes.cell;
    let top = theme::TOP * sizes.header;
    let left = (24.0 * sizes.header + name_width).max(theme::TICK.width(sizes.precision_heading()));
    let matrix = Frame::new(theme::MARGIN + left + 10.0, top + 10.0, side, side);
    let recall = matrix.right() + 6.0;
    let scale = recall + sizes.margin + 26.0;
    let list = scale + if n >= LISTED_FROM { 78.0 * sizes.header } else { 44.0 };
    let width = list + if n >= LISTED_FROM { LIST_WIDTH * sizes.header } else { 0.0 } + theme::MARGIN;
    let names_top = matrix.bottom() + 6.0 + sizes.margin_row() + 10.0;
    let names_height = if upright { sizes.name.size } else { name_width };
    let height = (names_top + names_height + 30.0 * sizes.header).max(matrix.y + 330.0 * sizes.header) + theme::MARGIN - 8.0;

    let cut = if n < report.classes.len() {
        format!(" · the {n} classes of {} with the lowest recall", report.classes.len())
    } else {
        String::new()
    };
    let line = subject.line(report, &format!("accuracy {}{cut}", axis::percent(report.accuracy, 1)));
    let mut drawing = Drawing::with_header(width.max(620.0), height, "Confusion matrix", &line, sizes.header);
    if n == 0 {
        drawing.text(310.0, 200.0, "no classes", theme::LABEL.colored(theme::MUTED).anchored(Anchor::Middle));
        return Picture::new("confusion_matrix", drawing);
    }
    cells(&mut drawing, &table, &sizes, &matrix);
    margins(&mut drawing, report, &table, &sizes, &matrix);
    row_and_column_names(&mut drawing, &names, &sizes, &matrix, names_top, upright);
    let heading = theme::LABEL.sized(theme::LABEL.size * sizes.header).colored(theme::MUTED).anchored(Anchor::Middle);
    drawing.text(theme::MARGIN + 12.0 * sizes.header, matrix.center().1, "true class", heading.turned(-90.0));
    drawing.text(matrix.center().0, names_top + names_height + 24.0 * sizes.header, "predicted class", heading);
    color_scale(&mut drawing, scale, matrix.y, sizes.header);
    if n >= LISTED_FROM {
        largest_confusions(&mut drawing, report, &table, (list, matrix.y, matrix.height), sizes.header);
    }
    Picture::new("confusion_matrix", drawing)
}

/// The shown part of the report's matrix.
struct Table {
    /// Indices of the classes shown, in the data set's order.
    classes: Vec<usize>,
    /// `[true][predicted]`, of the classes shown.
    counts: Vec<Vec<u64>>,
    /// Images of each class shown, the columns that are left out included.
    totals: Vec<u64>,
}

impl Table {
    fn new(report: &EvaluationReport) -> Self {
        let mut classes: Vec<usize> = (0..report.classes.len()).collect();
        if classes.len() > MAX_CLASSES {
            classes.sort_by(|&a, &b| report.classes[a].recall.total_cmp(&report.classes[b].recall));
            classes.truncate(100);
            classes.sort_unstable();
        }
        let count = |row: usize, column: usize| report.confusion.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0);
        let counts = classes.iter().map(|&row| classes.iter().map(|&column| count(row, column)).collect()).collect();
        let totals = classes.iter().map(|&row| report.confusion.get(row).map_or(0, |row| row.iter().sum())).collect();
        Self { classes, counts, totals }
    }

    /// Share of the row's images that fell into the column.
    fn share(&self, row: usize, column: usize) -> f64 {
        if self.totals[row] == 0 { 0.0 } else { self.counts[row][column] as f64 / self.totals[row] as f64 }
    }
}

struct Sizes {
    cell: f64,
    name: TextStyle,
    name_room: f64,
    count: f64,
    /// Of the row percentages; `None` where a cell has no room for a second line.
    percentage: Option<f64>,
    /// Width of the recall column.
    margin: f64,
    /// By how much title, list and scale grow with the sheet.
    header: f64,
}

impl Sizes {
    fn for_classes(n: usize) -> Self {
        let (cell, name, name_room, count, percentage, margin, header) = match n {
            0..=4 => (84.0, 12.5, 150.0, 17.0, Some(12.0), 64.0, 1.0),
            5..=12 => (58.0, 12.5, 150.0, 14.0, Some(10.5), 58.0, 1.0),
            13..=30 => (38.0, 11.5, 140.0, 11.0, Some(8.5), 46.0, 1.0),
            31..=60 => (25.0, 10.5, 130.0, 9.0, None, 34.0, 1.25),
            _ => (18.0, 9.5, 120.0, 7.5, None, 30.0, 1.6),
        };
        Self { cell, name: theme::LABEL.sized(name), name_room, count, percentage, margin, header }
    }

    fn margin_row(&self) -> f64 {
        self.cell.min(28.0)
    }

    /// Narrow columns leave the sign of their percentages to the heading.
    fn narrow(&self) -> bool {
        self.cell < 40.0
    }

    fn precision_heading(&self) -> &'static str {
        if self.narrow() { "precision, %" } else { "precision" }
    }
}

fn cells(drawing: &mut Drawing, table: &Table, sizes: &Sizes, matrix: &Frame) {
    let n = table.classes.len();
    for row in 0..n {
        for column in 0..n {
            let count = table.counts[row][column];
            let frame = Frame::new(matrix.x + column as f64 * sizes.cell, matrix.y + row as f64 * sizes.cell, sizes.cell, sizes.cell);
            if count == 0 {
                if sizes.percentage.is_some() {
                    let zero = theme::LABEL.sized(sizes.count).colored(theme::FAINT).anchored(Anchor::Middle).centered();
                    drawing.text(frame.center().0, frame.center().1, "0", zero);
                }
                continue;
            }
            let ground = shade(table.share(row, column));
            drawing.rect(frame, ground);
            let (x, y) = frame.center();
            let style = theme::LABEL.colored(colormap::ink_on(ground)).anchored(Anchor::Middle).centered();
            let number = if row == column && sizes.percentage.is_some() { style.bold() } else { style };
            let text = axis::grouped(count);
            let room = sizes.cell - 3.0;
            // A count of five digits is set smaller rather than over the edge.
            let shrink = |style: TextStyle, text: &str| style.sized(style.size.min(style.size * room / style.width(text)));
            let count_style = shrink(number.sized(sizes.count), &text);
            match sizes.percentage {
                Some(size) => {
                    let share = table.share(row, column);
                    let share = if share < 0.000_5 { "< 0.1 %".into() } else { axis::percent(share, 1) };
                    drawing.text(x, y - sizes.cell * 0.13, &text, count_style);
                    drawing.text(x, y + sizes.cell * 0.2, &share, shrink(style.sized(size), &share));
                }
                None => drawing.text(x, y, &text, count_style),
            }
        }
    }
    // Every cell has a hairline around it up to 30 classes; beyond, every fifth keeps the eye in its row.
    let every = if sizes.percentage.is_some() { 1 } else { 5 };
    for i in (every..n).step_by(every) {
        let at = i as f64 * sizes.cell;
        let hairline = Stroke::new(theme::GRID, 0.75);
        drawing.line((matrix.x + at, matrix.y), (matrix.x + at, matrix.bottom()), hairline);
        drawing.line((matrix.x, matrix.y + at), (matrix.right(), matrix.y + at), hairline);
    }
    drawing.outline(*matrix, Stroke::new(theme::AXIS, 1.0));
}

/// The root of the share: a few per cent, which is what confusions are, are then told apart from none.
fn shade(share: f64) -> super::drawing::Color {
    colormap::shade(share.max(0.0).sqrt())
}

/// Recall at the end of the rows, precision under the columns.
fn margins(drawing: &mut Drawing, report: &EvaluationReport, table: &Table, sizes: &Sizes, matrix: &Frame) {
    let size = (sizes.name.size - 1.0).min(11.0);
    let style = theme::TICK.sized(size).colored(theme::INK).anchored(Anchor::Middle).centered();
    let decimals = usize::from(table.classes.len() <= 12);
    let column_text = |share: f64| if sizes.narrow() { axis::percent(share, 0).replace(" %", "") } else { axis::percent(share, decimals) };
    let recall_x = matrix.right() + 6.0 + sizes.margin / 2.0;
    let precision_y = matrix.bottom() + 6.0 + sizes.margin_row() / 2.0;
    for (i, &class) in table.classes.iter().enumerate() {
        let class = &report.classes[class];
        let middle = (i as f64 + 0.5) * sizes.cell;
        let recall = if class.support == 0 { f64::NAN } else { class.recall };
        let precision = if class.predicted == 0 { f64::NAN } else { class.precision };
        drawing.text(recall_x, matrix.y + middle, &axis::percent(recall, decimals), style);
        drawing.text(matrix.x + middle, precision_y, &column_text(precision), style);
    }
    let heading = theme::TICK.anchored(Anchor::Middle);
    drawing.text(recall_x, matrix.y - 8.0, "recall", heading);
    drawing.text(matrix.x - 10.0, precision_y, sizes.precision_heading(), theme::TICK.anchored(Anchor::End).centered());
}

fn row_and_column_names(drawing: &mut Drawing, names: &[String], sizes: &Sizes, matrix: &Frame, top: f64, upright: bool) {
    for (i, name) in names.iter().enumerate() {
        let middle = (i as f64 + 0.5) * sizes.cell;
        drawing.text(matrix.x - 10.0, matrix.y + middle, name, sizes.name.anchored(Anchor::End).centered());
        if upright {
            drawing.text(matrix.x + middle, top + sizes.name.size / 2.0, name, sizes.name.anchored(Anchor::Middle).centered());
        } else {
            drawing.text(matrix.x + middle, top, name, sizes.name.anchored(Anchor::End).centered().turned(-90.0));
        }
    }
}

fn color_scale(drawing: &mut Drawing, x: f64, top: f64, scale: f64) {
    const STEPS: usize = 50;
    let (width, height) = (12.0 * scale, 200.0 * scale);
    let step = height / STEPS as f64;
    for i in 0..STEPS {
        let root = 1.0 - (i as f64 + 0.5) / STEPS as f64;
        // Each step reaches a little under the next, so that no line of the ground shows between them.
        let overlap = if i + 1 == STEPS { 0.0 } else { 0.5 };
        drawing.rect(Frame::new(x, top + i as f64 * step, width, step + overlap), shade(root * root));
    }
    drawing.outline(Frame::new(x, top, width, height), Stroke::new(theme::AXIS, 0.75));
    let style = theme::TICK.sized(10.0 * scale);
    for share in [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0_f64] {
        let y = top + height * (1.0 - share.sqrt());
        drawing.line((x + width, y), (x + width + 4.0, y), Stroke::new(theme::AXIS, 1.0));
        drawing.text(x + width + 8.0, y, &axis::percent(share, 0), style.centered());
    }
    drawing.text(x + 1.0, top + height + 12.0, "share of the true class", style.turned(90.0));
}

/// As many as fit beside the matrix.
fn largest_confusions(drawing: &mut Drawing, report: &EvaluationReport, table: &Table, (x, top, room): (f64, f64, f64), scale: f64) {
    let listed = ((room / scale - 34.0) / 19.0) as usize + 1;
    let n = table.classes.len();
    let mut pairs: Vec<_> = (0..n).flat_map(|row| (0..n).map(move |column| (row, column))).filter(|(row, column)| row != column).collect();
    pairs.retain(|&(row, column)| table.counts[row][column] > 0);
    // Stable: equals stay in the order of the rows.
    pairs.sort_by_key(|&(row, column)| std::cmp::Reverse(table.counts[row][column]));
    let (heading, label) = (theme::HEADING.sized(theme::HEADING.size * scale), theme::LABEL.sized(theme::LABEL.size * scale));
    drawing.text(x, top + 10.0 * scale, "The most frequent confusions", heading);
    let name = |class: usize| report.classes[table.classes[class]].name.as_str();
    for (i, &(row, column)) in pairs.iter().take(listed.min(LISTED)).enumerate() {
        let baseline = top + (34.0 + i as f64 * 19.0) * scale;
        let value = format!("{}  ({})", axis::grouped(table.counts[row][column]), axis::percent(table.share(row, column), 0));
        let half = ((LIST_WIDTH - 30.0) * scale - label.width(&value)) / 2.0;
        let pair = format!("{} → {}", label.fitted(name(row), half), label.fitted(name(column), half));
        drawing.text(x, baseline, &pair, label);
        drawing.text(x + LIST_WIDTH * scale, baseline, &value, label.colored(theme::MUTED).anchored(Anchor::End));
    }
    if pairs.is_empty() {
        drawing.text(x, top + 34.0 * scale, "none", label.colored(theme::MUTED));
    }
}
