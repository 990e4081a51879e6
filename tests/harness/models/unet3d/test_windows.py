"""Windows over volumes: against plain sums over whole volumes, for any batch and number of threads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.api.model import Surroundings
from mlperf_docker.harness.api.samples import write_rows
from mlperf_docker.harness.backends.dummy.backend import NullPredictor
from mlperf_docker.harness.models.unet3d import geometry, windows
from mlperf_docker.harness.models.unet3d.network import WINDOWS
from mlperf_docker.harness.models.unet3d.preprocess import Volumes
from mlperf_docker.harness.models.unet3d.windows import WindowPredictor, Windows, gather, weights

RNG = np.random.default_rng(2)
SHAPES = ((128, 128, 128), (192, 128, 256), (320, 192, 128))


def volumes(*shapes: tuple[int, int, int]) -> Volumes:
    made = Volumes.__new__(Volumes)
    made.volumes = [RNG.standard_normal(shape, dtype=np.float32) for shape in shapes]
    made.names, made.marks = tuple(f"case_{n:05}" for n in range(len(shapes))), []
    return made


class Network:
    """Three functions of a voxel and of its place in the window; remembers the batches that it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        slope = np.linspace(-0.5, 0.5, 128, dtype=np.float32)
        self.place = slope[:, None, None] + slope[None, :, None] * slope

    def predict(self, inputs: Arrays) -> Arrays:
        (x,) = inputs
        assert x.flags.c_contiguous
        self.batches.append(len(x))
        return (np.concatenate([0.3 - 0.1 * x, x + self.place, self.place - x], axis=1),)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        return {"shape": inputs[0].shape}


def plain(volume: NDArray[np.float32], network: Network) -> NDArray[np.uint8]:
    """The sums over the whole volume, divided by the sum of the weights, and numpy's own argmax."""
    gaussian = np.exp(-0.5 * ((np.arange(128) - 63.5) / 16) ** 2)
    patch = np.cbrt(np.einsum("i,j,k->ijk", gaussian, gaussian, gaussian))
    patch = (patch / patch.max()).astype(np.float32)
    result, norm = np.zeros((3, *volume.shape), dtype=np.float32), np.zeros(volume.shape, dtype=np.float32)
    for z in range(0, volume.shape[0] - 127, 64):
        for y in range(0, volume.shape[1] - 127, 64):
            for x in range(0, volume.shape[2] - 127, 64):
                window = (slice(z, z + 128), slice(y, y + 128), slice(x, x + 128))
                (logits,) = network.predict((volume[window][None, None].copy(),))
                result[(slice(None), *window)] += logits[0] * patch
                norm[window] += patch
    return np.asarray((result / norm).argmax(axis=0), dtype=np.uint8)


def around(network: Any, made: Volumes, threads: int = 2) -> WindowPredictor:
    return WindowPredictor(network, made, Surroundings(Device.CPU, threads, np.empty))


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (1, 2), (3, 3), (4, 40), (64, 2)])
def test_labels_are_those_of_plain_sums(batch: int, threads: int) -> None:
    made, network = volumes(*SHAPES), Network()
    predictor = around(network, made, threads)
    predictor.batch = batch
    for index, volume in enumerate(made.volumes):
        network.batches.clear()
        labels, lengths = predictor.predict(made.load([index]))
        count = len(geometry.corners(SHAPES[index]))
        assert sum(network.batches) == count
        assert max(network.batches) == min(batch, count)
        expected = plain(volume, network)
        assert {0, 1, 2} == set(np.unique(expected).tolist())
        assert lengths.tolist() == [volume.size]
        assert np.count_nonzero(labels.reshape(volume.shape) != expected) <= volume.size * 1e-6


def test_a_second_volume_does_not_see_the_first_and_leaves_its_labels_alone() -> None:
    made = volumes((192, 128, 128), (192, 128, 128))
    predictor = around(Network(), made)
    first = predictor.predict(made.load([0]))[0]
    kept = first.copy()
    second = predictor.predict(made.load([1]))[0]
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(around(Network(), made).predict(made.load([1]))[0], second)


def test_of_equal_sums_the_first_class_wins() -> None:
    made = volumes((128, 128, 128))
    # Ones for all classes.
    labels, _ = around(NullPredictor(WINDOWS), made).predict(made.load([0]))
    assert not labels.any()


def test_several_samples_are_filled_up_to_the_longest_and_cut_again() -> None:
    made = volumes((128, 128, 128), (192, 128, 128))
    outputs = around(Network(), made).predict(made.load([0, 1]))
    out = np.full((2, outputs[0].shape[1] + 5), 9, dtype=np.uint8)
    assert list(write_rows(outputs, (0, 1), out)) == [128**3, 192 * 128 * 128]
    np.testing.assert_array_equal(out[0, : 128**3], around(Network(), made).predict(made.load([0]))[0][0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_no_number_is_an_error(value: float) -> None:
    class Broken(Network):
        def predict(self, inputs: Arrays) -> Arrays:
            (found,) = super().predict(inputs)
            found[0, 2, 100, 5, 5] = value
            return (found,)

    made = volumes((128, 128, 128))
    with pytest.raises(NotFiniteError, match="output for a window is not finite") as raised:
        around(Broken(), made).predict(made.load([0]))
    assert raised.value.row == 0


def test_the_weights_are_a_separable_gaussian() -> None:
    w = weights()
    axis = np.exp(-((np.arange(128) - 63.5) ** 2) / (2 * 3 * 16**2))
    axis /= axis[63]
    np.testing.assert_allclose(w, np.einsum("i,j,k->ijk", axis, axis, axis), rtol=1e-5)
    assert w.max() == 1
    assert w.min() == pytest.approx(0.00038, abs=5e-6)


def test_the_proof_is_of_one_window() -> None:
    made = volumes((192, 192, 128))
    assert around(Network(), made).prove(made.load([0]))["shape"] == (1, 1, 128, 128, 128)


def test_tuning_runs_windows_and_answers_for_whole_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    made, networks = volumes((128, 128, 128), (192, 192, 192)), (Network(), Network())
    whole = Windows([(network,) for network in networks], made, Surroundings(Device.CPU, 1, np.empty))
    monkeypatch.setattr(
        "mlperf_docker.harness.calibration.batch_speeds.calibrate",
        lambda network, inputs, sizes: [_speed(sizes[-1], 0.5)],
    )
    assert whole.tune(None).batch == 1
    tuned = whole.tune(4)
    # 1 and 8 windows; four take half a second.
    assert (tuned.batch, tuned.sample_s) == (4, 0.5 / 4 * 4.5)
    assert {getattr(predictor, "batch", 0) for predictor in whole.predictors} == {4}


def _speed(batch: int, seconds: float) -> Any:
    from mlperf_docker.harness.calibration.batch_speeds import Speed

    return Speed(batch, (seconds,))


def test_gather_copies_windows_in_order() -> None:
    (volume,) = volumes((192, 128, 192)).volumes
    starts = geometry.corners((192, 128, 192))
    assert starts == [(0, 0, 0), (0, 0, 64), (64, 0, 0), (64, 0, 64)]
    found = gather(volume, starts[1:3], np.empty((4, 1, 128, 128, 128), dtype=np.float32))
    np.testing.assert_array_equal(found[0, 0], volume[:128, :, 64:])
    np.testing.assert_array_equal(found[1, 0], volume[64:, :, :128])


def test_memory_is_told_before_it_is_taken() -> None:
    made = volumes((320, 192, 128))
    needed, text = windows.SlidingWindows().memory(made, 2)
    volume = 4 * 320 * 192 * 128
    assert needed == volume + 2 * (3 * 4 * 128 * 192 * 128 + 2 * volume // 4)
    assert "1 volumes of 0.03 GB" in text
