"""LTC: the liquid time-constant cell.

Hasani et al. 2021, Liquid Time-constant Networks, in the conductance form of Lechner et al. 2020. Neuron j obeys

    cm_j dv_j/dt = gleak_j (vleak_j - v_j) + Σ_i a_ij (erev_ij - v_j),
    a_ij = w_ij σ(sigma_ij (v_i - mu_ij)),

the sum running over its incoming synapses, sensory ones included. What a synapse conducts changes how fast the neuron
forgets, hence the name. Each sample is `ode_unfolds` fused semi-implicit Euler steps (the paper's Eq. 3): v_j linear
at the new time, the sigmoid at the old one.

Legend of shapes: B streams, M inputs, N neurons; synapses are ``[source, destination]``.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from liquid_core.cells.base import Cell
from liquid_core.cells.elementary import softplus
from liquid_core.cells.initial import uniform
from liquid_core.errors import SpecError, WiringError
from liquid_core.types import Parameters
from liquid_core.wiring import BuiltWiring, Wiring

Mapping = Literal["affine", "linear", "none"]

_RECURRENT = ("sigma", "mu", "w", "erev")
_SENSORY = ("sensory_sigma", "sensory_mu", "sensory_w", "sensory_erev")
#: Capacitances and conductances: negative ones have no physics, and no bound on the state.
_POSITIVE = ("w", "sensory_w", "cm", "gleak")


class _Synapses(NamedTuple):
    """Synapses of one kind, ready to use: masked and positive. All ``(sources, N)`` or ``(B, sources, N)``."""

    half_sigma: Tensor
    mu: Tensor
    half_conductance: Tensor
    half_current: Tensor  # half the conductance times the reversal potential

    def open(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Conductance and current into each neuron ``(B, N)`` from source potentials ``(B, sources)``."""
        # 2 σ(x) = tanh(x/2) + 1: with all halves taken beforehand, two operations fewer for every synapse.
        gate = torch.tanh(self.half_sigma * (source.unsqueeze(2) - self.mu)) + 1.0
        return (gate * self.half_conductance).sum(1), (gate * self.half_current).sum(1)


class LTCCell(Cell):
    """One step of a liquid time-constant network.

    Parameters
    ----------
    wiring
        Who synapses onto whom; a recipe, or a graph that is already built.
    in_features
        Number of inputs; may be left out if the wiring is built.
    input_mapping, output_mapping
        "affine" (scale and shift each input, or motor neuron), "linear" (scale) or "none".
    ode_unfolds
        Solver steps per sample; the error falls in proportion to their number.
    epsilon
        Added to every denominator's conductance, as `ncps` does, so that results agree with it.
    implicit_param_constraints
        True: conductances and capacitances go through a softplus and are positive whatever the optimiser does. False:
        they are used as they are, and `constrain` (or `apply_weight_constraints`) must follow every update.
    generator
        Source of the initial weights; torch's global one by default.

    Notes
    -----
    The solver is written as ``v + δ (current - conductance v) / (cm + δ conductance)``, which is the paper's fused step
    with numerator and denominator multiplied by δ. It needs no division by δ, so that an elapsed time of 0 is exactly
    the identity.
    """

    rests_at_zero_time = True
    sparsity_mask: Tensor
    sensory_sparsity_mask: Tensor

    def __init__(
        self,
        wiring: Wiring | BuiltWiring,
        in_features: int | None = None,
        input_mapping: Mapping = "affine",
        output_mapping: Mapping = "affine",
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        implicit_param_constraints: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for field, mapping in (("input_mapping", input_mapping), ("output_mapping", output_mapping)):
            if mapping not in ("affine", "linear", "none"):
                raise SpecError(f'`{field}` must be "affine", "linear" or "none": got {mapping!r}.')
        if ode_unfolds < 1:
            raise SpecError(f"`ode_unfolds` must be at least 1: got {ode_unfolds!r}.")
        self.wiring = built_for(wiring, in_features)
        self.input_size = self.sensory_size = self.wiring.input_size
        self.state_size = self.wiring.units
        self.output_size = self.motor_size = self.wiring.output_size
        self.input_mapping, self.output_mapping = input_mapping, output_mapping
        self.ode_unfolds = ode_unfolds
        self.epsilon = epsilon
        self.implicit_param_constraints = implicit_param_constraints
        self._draw_parameters(generator)

    def _draw_parameters(self, generator: torch.Generator | None) -> None:
        units, inputs = self.state_size, self.input_size
        adjacency = torch.tensor(self.wiring.adjacency, dtype=torch.get_default_dtype())
        sensory = torch.tensor(self.wiring.sensory_adjacency, dtype=torch.get_default_dtype())
        # The order of these draws is that of ncps: equal seeds give equal weights.
        self.gleak = uniform(generator, 0.001, 1.0, units)
        self.vleak = uniform(generator, -0.2, 0.2, units)
        self.cm = uniform(generator, 0.4, 0.6, units)
        self.sigma = uniform(generator, 3.0, 8.0, units, units)
        self.mu = uniform(generator, 0.3, 0.8, units, units)
        self.w = uniform(generator, 0.001, 1.0, units, units)
        self.erev = nn.Parameter(adjacency.clone())
        self.sensory_sigma = uniform(generator, 3.0, 8.0, inputs, units)
        self.sensory_mu = uniform(generator, 0.3, 0.8, inputs, units)
        self.sensory_w = uniform(generator, 0.001, 1.0, inputs, units)
        self.sensory_erev = nn.Parameter(sensory.clone())
        self.register_buffer("sparsity_mask", adjacency.abs())
        self.register_buffer("sensory_sparsity_mask", sensory.abs())
        if self.input_mapping != "none":
            self.input_w = nn.Parameter(torch.ones(inputs))
        if self.input_mapping == "affine":
            self.input_b = nn.Parameter(torch.zeros(inputs))
        if self.output_mapping != "none":
            self.output_w = nn.Parameter(torch.ones(self.output_size))
        if self.output_mapping == "affine":
            self.output_b = nn.Parameter(torch.zeros(self.output_size))

    # --- the step ----------------------------------------------------------------------------------------------------

    def prepare(self, parameters: Parameters) -> Parameters:
        """Synapses masked, conductances and capacitances positive, the leak's part of the current."""
        gleak = self._positive(parameters["gleak"])
        prepared = dict(parameters) | {
            "positive.cm": self._positive(parameters["cm"]),
            "leak.conductance": gleak + self.epsilon,
            "leak.current": gleak * parameters["vleak"],
        }
        for kind in ("recurrent", "sensory"):
            synapses = self._synapses(parameters, sensory=kind == "sensory")
            prepared |= {f"{kind}.{name}": value for name, value in synapses._asdict().items()}
        return prepared

    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        recurrent, sensory = (
            _Synapses(*(prepared[f"{kind}.{name}"] for name in _Synapses._fields)) for kind in ("recurrent", "sensory")
        )
        sensory_conductance, sensory_current = sensory.open(self._map_inputs(prepared, inputs))
        cm = prepared["positive.cm"]
        constant_conductance = prepared["leak.conductance"] + sensory_conductance
        constant_current = prepared["leak.current"] + sensory_current
        step_time = elapsed_time / self.ode_unfolds

        v = hx
        for _ in range(self.ode_unfolds):
            conductance, current = recurrent.open(v)
            conductance = conductance + constant_conductance
            denominator = cm + step_time * conductance
            if not self.implicit_param_constraints:
                # A capacitance may then be zero, and where no time has passed either, divide by one.
                denominator = denominator + (denominator == 0)
            v = v + step_time / denominator * (constant_current + current - conductance * v)
        return self._map_outputs(prepared, v), v

    def _positive(self, raw: Tensor) -> Tensor:
        return softplus(raw) if self.implicit_param_constraints else raw

    def _synapses(self, parameters: Parameters, *, sensory: bool) -> _Synapses:
        sigma, mu, w, erev = (parameters[name] for name in (_SENSORY if sensory else _RECURRENT))
        conductance = self._positive(w) * (self.sensory_sparsity_mask if sensory else self.sparsity_mask)
        return _Synapses(0.5 * sigma, mu, 0.5 * conductance, 0.5 * conductance * erev)

    def _map_inputs(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        if self.input_mapping != "none":
            inputs = inputs * parameters["input_w"]
        if self.input_mapping == "affine":
            inputs = inputs + parameters["input_b"]
        return inputs

    def _map_outputs(self, parameters: Parameters, v: Tensor) -> Tensor:
        output = v[:, : self.output_size]
        if self.output_mapping != "none":
            output = output * parameters["output_w"]
        if self.output_mapping == "affine":
            output = output + parameters["output_b"]
        return output

    # --- masks and constraints ---------------------------------------------------------------------------------------

    def parameter_masks(self) -> dict[str, Tensor]:
        recurrent, sensory = self.sparsity_mask.bool(), self.sensory_sparsity_mask.bool()
        return dict.fromkeys(_RECURRENT, recurrent) | dict.fromkeys(_SENSORY, sensory)

    def arrange(self, parameters: Parameters) -> Tensor:
        """What all synapses have of a kind lies together, synapse by synapse in the order of their destinations."""
        synapses = [parameters[name].T for name in (*_RECURRENT, *_SENSORY)]
        others = [value for name, value in parameters.items() if name not in (*_RECURRENT, *_SENSORY)]
        return torch.cat([value.reshape(-1) for value in (*synapses, *others)])

    def constrain(self, parameters: Parameters) -> Parameters:
        """Explicit constraints: conductances and capacitances clipped at 0. Implicit ones need nothing."""
        if self.implicit_param_constraints:
            return parameters
        return dict(parameters) | {name: parameters[name].clamp(min=0) for name in _POSITIVE}

    @torch.no_grad()
    def apply_weight_constraints(self) -> None:
        """`constrain` the cell's own parameters, in place; call it after each optimiser step."""
        for name, value in self.constrain(self.own_parameters()).items():
            self.get_parameter(name).copy_(value)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        self._check_loaded_masks(state_dict, prefix, rest[-1])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    # --- what the theorems speak of ----------------------------------------------------------------------------------

    def time_constants(self, parameters: Parameters, inputs: Tensor, hx: Tensor) -> Tensor:
        """How fast each neuron forgets right now, ``(batch, units)``, in units of the elapsed time.

        ``cm_j / (gleak_j + Σ a_ij)`` over all incoming synapses: the system time constant of Hasani et al. 2021, Eq. 2.
        """
        conductance, _ = self._synapses(parameters, sensory=False).open(hx)
        sensory, _ = self._synapses(parameters, sensory=True).open(self._map_inputs(parameters, inputs))
        return self._positive(parameters["cm"]) / (self._positive(parameters["gleak"]) + conductance + sensory)

    def time_constant_bounds(self, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Least and greatest time constant that any input can bring about, ``(units,)`` (Theorem 1 of the paper).

        ``(batch, units)`` where the parameters have a batch axis.
        """
        cm, gleak = self._positive(parameters["cm"]), self._positive(parameters["gleak"])
        recurrent, sensory = self._synapses(parameters, sensory=False), self._synapses(parameters, sensory=True)
        all_open = gleak + 2.0 * (recurrent.half_conductance.sum(-2) + sensory.half_conductance.sum(-2))
        return cm / all_open, cm / gleak

    def state_bounds(self, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Interval ``(units,)`` that a neuron which starts inside it never leaves (Theorem 2 of the paper).

        It spans 0, the neuron's leak potential, and the reversal potentials of its incoming synapses, for each solver
        step is a convex combination of these and of where the neuron was. A neuron that starts outside moves between
        its start and this interval. ``(batch, units)`` where the parameters have a batch axis.
        """
        potentials = [parameters["vleak"].unsqueeze(-2)]
        for name, mask in (("erev", self.sparsity_mask), ("sensory_erev", self.sensory_sparsity_mask)):
            potentials.append(parameters[name] * mask)  # a missing synapse stands at 0, which is inside anyway
        potentials = [potentials[0].clamp(max=0), potentials[0].clamp(min=0), *potentials[1:]]
        return torch.cat(potentials, -2).amin(-2), torch.cat(potentials, -2).amax(-2)

    @property
    def synapse_count(self) -> int:
        """Synapses between neurons."""
        return self.wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Synapses from inputs to neurons."""
        return self.wiring.sensory_synapse_count

    def extra_repr(self) -> str:
        return f"{self.wiring.wiring}, input_size={self.input_size}, ode_unfolds={self.ode_unfolds}"


def built_for(wiring: Wiring | BuiltWiring, input_size: int | None) -> BuiltWiring:
    """The wiring's graph for this number of inputs.

    Raises
    ------
    WiringError
        The number is missing, or the graph was built for another.
    """
    if isinstance(wiring, BuiltWiring):
        if input_size is not None and input_size != wiring.input_size:
            raise WiringError(f"the wiring was built for {wiring.input_size} inputs, not for {input_size}; build anew.")
        return wiring
    if input_size is None:
        raise WiringError("`in_features` is missing; pass it, or a wiring that is built: `wiring.build(in_features)`.")
    return wiring.build(input_size)


__all__ = ["LTCCell", "Mapping", "built_for"]
