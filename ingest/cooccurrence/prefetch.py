"""A prefetch instruction for numba kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def prefetch(_typing: Any, array: Any, _place: Any) -> Any:
    """``prefetch(array, place)``: ask for the cache line of a 1-D array's element, for reading.

    Walking rows in the order of a column jumps through memory; the processor cannot guess the
    next row, but the kernel knows it.
    """
    signature = types.void(array, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.PointerType(ir.IntType(8)))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        read, keep, data_cache = number(0), number(3), number(1)
        builder.call(function, [pointer, read, keep, data_cache])
        return context.get_dummy_value()

    return signature, generate
