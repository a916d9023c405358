//! The null spaces of moments, each found once: an eigendecomposition takes longer than all else of an
//! edit, and statistics do not change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faer::Mat;
use retcon_kernels::moment::Moment;
use retcon_model::atomic;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use sha2::{Digest, Sha256};

use super::name;
use crate::error::Result;
use crate::linalg::{NullSpace, mean};

/// Null spaces of statistics and all of their clones.
#[derive(Clone, Debug, Default)]
pub struct Spaces {
    known: Arc<Mutex<Known>>,
    /// Where they are kept from one use to the next.
    folder: Option<PathBuf>,
}

/// By block and by the bits of the threshold.
type Known = BTreeMap<(usize, u64), Arc<NullSpace>>;

impl Spaces {
    /// Those that are kept beside the statistics in `folder`, in one of their own, which is made where it
    /// isn't there: a file for each, named by the moment that it follows from.
    #[must_use]
    pub fn kept_in(folder: &Path) -> Self {
        Self { folder: Some(folder.join("null-spaces")), ..Self::default() }
    }

    /// None yet, of another moment, kept where these are.
    pub(super) fn emptied(&self) -> Self {
        Self { folder: self.folder.clone(), ..Self::default() }
    }

    /// That of `block` below `threshold`, made of `moment` the first time.
    pub(super) fn of(
        &self,
        block: usize,
        threshold: f64,
        moment: impl FnOnce() -> Result<Moment>,
    ) -> Result<Arc<NullSpace>> {
        let mut known = self.known.lock().expect("no holder of the lock panics");
        let key = (block, threshold.to_bits());
        if let Some(space) = known.get(&key) {
            return Ok(space.clone());
        }
        let moment = moment()?;
        let width = moment.width();
        let path = self.folder.as_ref().map(|folder| folder.join(file_name(&moment, threshold)));
        let find = || {
            let mean = mean(&moment);
            // An eigendecomposition takes a lot of memory beside it.
            drop(moment);
            NullSpace::new(&mean, threshold, &name(block))
        };
        let space = match path {
            Some(path) => kept(&path, width, find),
            None => find(),
        };
        let space = Arc::new(space?);
        known.insert(key, space.clone());
        Ok(space)
    }
}

/// They follow from the moments, so they make no difference.
impl PartialEq for Spaces {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The tensor in a file.
const OUTSIDE: &str = "outside";

/// What tells a null space apart from any other.
fn file_name(moment: &Moment, threshold: f64) -> String {
    let mut hash = Sha256::new();
    hash.update(moment.n_rows().to_le_bytes());
    hash.update(threshold.to_le_bytes());
    moment.triangle().iter().for_each(|x| hash.update(x.to_le_bytes()));
    format!("{}.safetensors", &format!("{:x}", hash.finalize())[..32])
}

/// What is at `path`, or else what `find` finds, which is there from then on. Nothing fails that does
/// without the file: it saves time alone.
fn kept(path: &Path, width: usize, find: impl FnOnce() -> Result<NullSpace>) -> Result<NullSpace> {
    if path.is_file() {
        match read(path, width) {
            Ok(space) => return Ok(space),
            Err(what) => tracing::warn!("{}: {what}; it is made again", path.display()),
        }
    }
    let space = find()?;
    if let Err(what) = write(path, &space) {
        tracing::warn!("{}: a null space is not kept: {what}", path.display());
    }
    Ok(space)
}

fn write(path: &Path, space: &NullSpace) -> Result<(), String> {
    let columns = (0..space.outside.ncols()).flat_map(|j| space.outside.col(j).iter());
    let bytes: Vec<u8> = columns.flat_map(|x| x.to_le_bytes()).collect();
    let shape = vec![space.outside.ncols(), space.outside.nrows()];
    let view = TensorView::new(Dtype::F64, shape, &bytes).map_err(|error| error.to_string())?;
    let bytes = serialize([(OUTSIDE, view)], None).map_err(|error| error.to_string())?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    atomic::write(path, |to| to.write_all(&bytes)).map_err(|error| error.to_string())
}

fn read(path: &Path, width: usize) -> Result<NullSpace, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let tensor = file.tensor(OUTSIDE).map_err(|error| error.to_string())?;
    let n = match (tensor.dtype(), tensor.shape()) {
        (Dtype::F64, &[n, found]) if found == width && n < width => n,
        (dtype, shape) => {
            return Err(format!("expected F64 [n, {width}], found {dtype} {shape:?}"));
        }
    };
    let numbers: Vec<f64> =
        tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
    let outside = Mat::from_fn(width, n, |i, j| numbers[j * width + i]);
    // What it was made of is in its name, and what it is can be seen: columns of length one.
    let is_one = |j: usize| (outside.col(j).norm_l2() - 1.0).abs() < 1e-9;
    match (0..n).all(is_one) {
        true => Ok(NullSpace { outside }),
        false => Err("its columns are not of length one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Result<Moment> {
        let mut moment = Moment::new(4);
        for row in [[1.0, 2.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.1], [0.0, 3.0, 0.1, 0.0]] {
            moment.add_repeated(&row, 1)?;
        }
        Ok(moment)
    }

    fn of(spaces: &Spaces) -> Mat<f64> {
        spaces.of(0, 0.02, moment).unwrap().outside.clone()
    }

    #[test]
    fn what_was_found_once_is_read_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let spaces = || Spaces::kept_in(folder.path());
        let found = of(&Spaces::default());
        assert_eq!(found.ncols(), 2);
        assert_eq!(of(&spaces()), found);
        assert_eq!(of(&spaces()), found);
        let other = NullSpace { outside: Mat::identity(4, 1) };
        let path = folder.path().join("null-spaces").join(file_name(&moment().unwrap(), 0.02));
        write(&path, &other).unwrap();
        assert_eq!(of(&spaces()), other.outside, "the file is not read");
        let none = spaces().of(0, 0.03, moment).unwrap().outside.clone();
        assert_eq!(none, found, "another threshold has a file of its own");
        // Whatever else is there is no null space.
        let long = NullSpace { outside: Mat::from_fn(4, 1, |_, _| 1.0) };
        let wide = NullSpace { outside: Mat::identity(5, 1) };
        for broken in [&long, &wide] {
            write(&path, broken).unwrap();
            assert_eq!(of(&spaces()), found);
        }
        std::fs::write(&path, "half of a f").unwrap();
        assert_eq!(of(&spaces()), found);
        assert_eq!(read(&path, 4).unwrap().outside, found, "it was not made again");
    }

    #[test]
    fn a_folder_that_takes_no_file_costs_time_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(of(&Spaces::kept_in(file.path())), of(&Spaces::default()));
    }
}
