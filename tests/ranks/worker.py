"""One of two ranks: trains every case with the other, and half of them alone, and writes what comes of them into a folder."""

import sys
from pathlib import Path

import torch
import torch.distributed as distributed

from framework.functional import ranks
from tests.ranks.cases import CASES, LOCAL, SIZE, local_losses, reductions, train
from tests.ranks.joining import joining


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=SIZE)
    with ranks.joined(ranks.Ranks(rank, SIZE)):
        torch.save(joining(), folder / f"joining-{rank}.pt")
        torch.save(reductions(), folder / f"reductions-{rank}.pt")
        torch.save({each: [local_losses(each, gather=gather) for gather in (False, True)] for each in LOCAL}, folder / f"local-{rank}.pt")
        torch.save({name: vars(train(case)) for name, case in CASES.items()}, folder / f"together-{rank}.pt")
    alone = list(CASES.items())[rank::SIZE]
    torch.save({each: local_losses(each, gather=True, rank=rank) for each in LOCAL}, folder / f"own-{rank}.pt")
    torch.save({name: vars(train(case)) for name, case in alone}, folder / f"alone-{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
