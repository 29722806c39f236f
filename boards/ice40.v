// Short arithmetic in tables, for a techmap before synthesis.
//
// A bit of a carry chain takes a logic cell whose table can do nothing else, and a chain
// whose end is used in logic takes one more. Tables do better where what follows fits into
// them: in comparisons up to LIMIT bits, and where a short word is counted up or down.

(* techmap_celltype = "$lt $le $gt $ge" *)
module ice40_compare (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CELLTYPE_ = "";
    // A constant 0 may have no bits left: synthesis does that by itself.
    localparam AW = A_WIDTH > 0 ? A_WIDTH : 1;
    localparam BW = B_WIDTH > 0 ? B_WIDTH : 1;
    localparam LIMIT = 24;
    localparam WIDTH = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
    localparam SIGNED = A_SIGNED && B_SIGNED;
    localparam SWAP = _TECHMAP_CELLTYPE_ == "$gt" || _TECHMAP_CELLTYPE_ == "$ge";
    localparam EQUAL = _TECHMAP_CELLTYPE_ == "$le" || _TECHMAP_CELLTYPE_ == "$ge";
    wire _TECHMAP_FAIL_ = A_WIDTH == 0 || B_WIDTH == 0 || (A_WIDTH > LIMIT && B_WIDTH > LIMIT);

    input [AW-1:0] A;
    input [BW-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire [WIDTH-1:0] a, b;
    \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(AW), .Y_WIDTH(WIDTH)) extend_a (.A(A), .Y(a));
    \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(BW), .Y_WIDTH(WIDTH)) extend_b (.A(B), .Y(b));
    // Two's complement is in order with its sign the other way round.
    wire [WIDTH-1:0] sign = SIGNED ? {1'b1, {WIDTH{1'b0}}} >> 1 : {WIDTH{1'b0}};
    wire [WIDTH-1:0] low = (SWAP ? b : a) ^ sign;
    wire [WIDTH-1:0] high = (SWAP ? a : b) ^ sign;
    wire [WIDTH:0] less;
    assign less[0] = EQUAL;
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1)
            assign less[i+1] = (~low[i] & high[i]) | (~(low[i] ^ high[i]) & less[i]);
    endgenerate
    assign Y = less[WIDTH];
endmodule

(* techmap_celltype = "$add $sub" *)
module ice40_count (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CELLTYPE_ = "";
    // A constant 0 may have no bits left: synthesis does that by itself.
    localparam AW = A_WIDTH > 0 ? A_WIDTH : 1;
    localparam BW = B_WIDTH > 0 ? B_WIDTH : 1;
    parameter _TECHMAP_CONSTMSK_A_ = 0;
    parameter _TECHMAP_CONSTMSK_B_ = 0;
    localparam LIMIT = 6;
    localparam SIGNED = A_SIGNED && B_SIGNED;
    localparam SUB = _TECHMAP_CELLTYPE_ == "$sub";
    wire _TECHMAP_FAIL_ = A_WIDTH == 0 || B_WIDTH == 0 || Y_WIDTH > LIMIT || !(&_TECHMAP_CONSTMSK_A_ || &_TECHMAP_CONSTMSK_B_);

    input [AW-1:0] A;
    input [BW-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire [Y_WIDTH-1:0] a, b, addend;
    \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(AW), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
    \$pos #(.A_SIGNED(SIGNED), .A_WIDTH(BW), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));
    assign addend = SUB ? ~b : b;
    wire [Y_WIDTH:0] carry;
    assign carry[0] = SUB;
    genvar i;
    generate
        for (i = 0; i < Y_WIDTH; i = i + 1) begin
            assign Y[i] = a[i] ^ addend[i] ^ carry[i];
            assign carry[i+1] = (a[i] & addend[i]) | ((a[i] ^ addend[i]) & carry[i]);
        end
    endgenerate
endmodule
