"""The published sizes of SAM 2, and the small one of our own demo; imports no PyTorch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

OFFICIAL = "https://dl.fbaipublicfiles.com/segment_anything_2"


@dataclass(frozen=True)
class Preset:
    """Shape of a model, and where its official weights are.

    SAM 2.1 has the image half of SAM 2, trained longer: the same tensors, the same arithmetic. What
    is new in it (time positions of object pointers, an embedding for frames without the object)
    serves video. So its presets differ in their url alone, and a file of either version loads into
    the preset of its size.
    """

    embed_dim: int
    """Channels of the trunk's first stage."""
    num_heads: int
    """Attention heads of the trunk's first stage."""
    stages: tuple[int, ...]
    """Blocks per stage of the trunk."""
    global_att_blocks: tuple[int, ...]
    """Blocks of the trunk, counted over all stages, that attend over the whole map."""
    window_sizes: tuple[int, ...]
    """Side of the trunk's attention windows per stage, in positions."""
    background_size: int
    """Side of the trunk's coarse position embedding."""
    url: str | None
    """Official weights, where there are any."""
    tensors: str
    """SHA-256, its first 16 digits, of a json of the sorted names and shapes of its tensors."""
    d_model: int = 256
    """Channels of the feature pyramid and of the decoder's tokens."""
    decoder_depth: int = 2
    """Blocks of the two-way transformer."""
    decoder_num_heads: int = 8
    """Attention heads of the decoder."""
    decoder_mlp_dim: int = 2048
    """Hidden channels of the decoder's MLPs."""
    image_size: int = 1024
    """Side of the square input frame in pixels."""


_TINY = Preset(
    embed_dim=96,
    num_heads=1,
    stages=(1, 2, 7, 2),
    global_att_blocks=(5, 7, 9),
    window_sizes=(8, 4, 14, 7),
    background_size=7,
    url=f"{OFFICIAL}/072824/sam2_hiera_tiny.pt",
    tensors="853b1b2aa09223c8",
)
_SMALL = replace(
    _TINY,
    stages=(1, 2, 11, 2),
    global_att_blocks=(7, 10, 13),
    url=f"{OFFICIAL}/072824/sam2_hiera_small.pt",
    tensors="23998733b3e7f695",
)
_BASE_PLUS = Preset(
    embed_dim=112,
    num_heads=2,
    stages=(2, 3, 16, 3),
    global_att_blocks=(12, 16, 20),
    window_sizes=(8, 4, 14, 7),
    background_size=14,
    url=f"{OFFICIAL}/072824/sam2_hiera_base_plus.pt",
    tensors="713a4b9c0ba8685b",
)
_LARGE = Preset(
    embed_dim=144,
    num_heads=2,
    stages=(2, 6, 36, 4),
    global_att_blocks=(23, 33, 43),
    window_sizes=(8, 4, 16, 8),
    background_size=7,
    url=f"{OFFICIAL}/072824/sam2_hiera_large.pt",
    tensors="d229b521dc256d22",
)
_DEMO = Preset(
    embed_dim=32,
    num_heads=1,
    stages=(1, 2, 3, 1),
    global_att_blocks=(4, 5),
    window_sizes=(8, 4, 8, 4),
    background_size=7,
    url=None,
    tensors="b100b7f08341325a",
    d_model=96,
    decoder_num_heads=4,
    decoder_mlp_dim=384,
    image_size=256,
)

PRESETS: dict[str, Preset] = {
    "sam2_hiera_t": _TINY,
    "sam2_hiera_s": _SMALL,
    "sam2_hiera_b+": _BASE_PLUS,
    "sam2_hiera_l": _LARGE,
    "sam2.1_hiera_t": replace(_TINY, url=f"{OFFICIAL}/092824/sam2.1_hiera_tiny.pt"),
    "sam2.1_hiera_s": replace(_SMALL, url=f"{OFFICIAL}/092824/sam2.1_hiera_small.pt"),
    "sam2.1_hiera_b+": replace(_BASE_PLUS, url=f"{OFFICIAL}/092824/sam2.1_hiera_base_plus.pt"),
    "sam2.1_hiera_l": replace(_LARGE, url=f"{OFFICIAL}/092824/sam2.1_hiera_large.pt"),
    "sam2_hiera_demo": _DEMO,
}
"""Every model by name."""

ONLY_IN_2_1 = ("obj_ptr_tpos_proj.", "no_obj_embed_spatial")
"""How the names of tensors begin that tell a SAM 2.1 file from a SAM 2 file."""

NOT_LOADED = (
    # Memory of earlier frames.
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "no_mem_embed",
    "no_mem_pos_enc",
    "mask_downsample.",
    # Object pointers from frame to frame.
    "no_obj_ptr",
    "obj_ptr_proj.",
    *ONLY_IN_2_1,
    # Whether the tracked object is in the frame at all.
    "sam_mask_decoder.pred_obj_score_head.",
    # Masks as prompts; ours are points and boxes.
    "sam_prompt_encoder.mask_downscaling.",
)
"""How the names of tensors begin that official checkpoints hold and `Sam2ImageModel` lacks."""


def missing_weights(name: str, path: Path) -> str:
    """What to say of weights that are not there, and how to get them."""
    return f"the SAM 2 checkpoint {path} does not exist; {how_to_get(name, path)}"


def how_to_get(name: str, path: Path) -> str:
    """How the official weights of a preset come to a path, for the end of an error message."""
    url = PRESETS[name].url
    if url is None:
        return f"there is no download for {name}"
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    return f"get it with `mkdir -p {folder} && wget -O {file} {url}`"
