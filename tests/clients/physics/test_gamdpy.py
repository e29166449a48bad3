"""gamdpy: molecular dynamics, whose whole loop of steps is one kernel that synchronises the grid, against NumPy."""

import gamdpy
import numpy as np
import pytest

CUT = 1.5


def of(cells, **options):
    configuration = gamdpy.Configuration(D=3)
    configuration.make_lattice(gamdpy.unit_cells.FCC, cells=cells, rho=0.973)
    configuration["m"] = 1.0
    configuration.randomize_velocities(temperature=1.6, seed=1)
    potential = gamdpy.apply_shifted_potential_cutoff(gamdpy.LJ_12_6_sigma_epsilon)
    pairs = gamdpy.PairPotential(potential, params=[1.0, 1.0, CUT], max_num_nbs=200)
    actions = [gamdpy.ScalarSaver(4), gamdpy.TrajectorySaver(), gamdpy.MomentumReset(100)]
    return gamdpy.Simulation(
        configuration, pairs, options["integrator"], actions,
        num_timeblocks=2, steps_per_timeblock=16, storage="memory",
    )  # fmt: skip


def energy(positions, lengths):
    """The energy of all pairs, each within its cut."""
    found = 0.0
    for i, place in enumerate(positions):
        apart = positions[i + 1 :] - place
        apart -= np.round(apart / lengths) * lengths
        squares = (apart**2).sum(axis=1)
        inverse = 1 / squares[squares < CUT**2] ** 3
        found += (4 * (inverse**2 - inverse) - 4 * (CUT**-12 - CUT**-6)).sum()
    return found


def test_energy_is_that_of_the_positions_and_stays():
    simulation = of([3, 3, 3], integrator=gamdpy.integrators.NVE(dt=0.004))
    simulation.run()
    configuration = simulation.configuration
    potential, kinetic = gamdpy.extract_scalars(simulation.output, ["U", "K"])
    total = potential + kinetic
    assert np.ptp(total) < 2e-3 * abs(kinetic.mean())
    expected = energy(configuration["r"].astype(float), configuration.simbox.get_lengths().astype(float))
    assert configuration["U"].sum() == pytest.approx(expected, rel=1e-4)


def test_a_thermostat_with_random_forces():
    simulation = of([3, 3, 3], integrator=gamdpy.integrators.NVT_Langevin(temperature=0.7, alpha=5.0, dt=0.004, seed=3))
    simulation.run()
    (kinetic,) = gamdpy.extract_scalars(simulation.output, ["K"])
    assert np.isfinite(kinetic).all()
    assert kinetic[-1] < kinetic[0]  # it cools the lattice, which began at 1.6
